import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Ledger } from '../../../../src/host/node/ledger.ts'
import { describeNode, ownershipOf } from '../../../../src/host/node/machine.ts'
import { entry, guest } from '../../../support/nodes/site.ts'

let folder = ''
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'seeder ledger ')), 'lib', 'nodes')
})
afterEach(() => rm(join(folder, '../..'), { recursive: true }))

describe('the ledger', () => {
  it('returns the written entries, and only root can read them', async () => {
    const ledger = new Ledger(folder)
    expect(await ledger.read()).toEqual([])
    const two = entry('etcd2', {
      founders: { token: 't', members: [{ name: 'etcd2', address: '10.0.0.130' }] },
    })
    await ledger.write(two)
    await ledger.write(entry('etcd1'))
    await ledger.write(entry('etcd1', { state: 'destroying' }))
    expect(await ledger.read()).toEqual([entry('etcd1', { state: 'destroying' }), two])
    expect(((await stat(folder)).mode & 0o777).toString(8)).toBe('700')
    expect(((await stat(join(folder, 'etcd1.json'))).mode & 0o777).toString(8)).toBe('600')
    expect(await readdir(folder)).toEqual(['etcd1.json', 'etcd2.json'])
  })

  it('removes an entry, even one that does not exist', async () => {
    const ledger = new Ledger(folder)
    await ledger.write(entry('etcd1'))
    await ledger.remove('etcd1')
    await ledger.remove('etcd1')
    expect(await ledger.read()).toEqual([])
  })

  it('refuses a name that is a path', async () => {
    const ledger = new Ledger(folder)
    await expect(ledger.write(entry('../../etcd1'))).rejects.toThrow()
    await expect(ledger.remove('../x')).rejects.toThrow()
    expect(existsSync(folder)).toBe(true)
  })

  it('refuses to go on with an unreadable entry, whose addresses are unknown', async () => {
    const ledger = new Ledger(folder)
    await ledger.write(entry('etcd1'))
    await writeFile(join(folder, 'etcd2.json'), JSON.stringify(entry('etcd3')))
    await expect(ledger.read()).rejects.toThrow('etcd2.json is not an entry that `seeder node` wrote')
    await writeFile(join(folder, 'etcd2.json'), '{')
    await expect(ledger.read()).rejects.toThrow('etcd2.json is not an entry')
  })

  it('removes entries that a killed run left half written', async () => {
    const ledger = new Ledger(folder)
    await ledger.write(entry('etcd1'))
    await writeFile(join(folder, 'etcd2.json.partial'), '{"schema"')
    await ledger.sweep()
    expect(await readdir(folder)).toEqual(['etcd1.json'])
  })
})

describe('the owner of a VM', () => {
  const own = entry('etcd1')
  const tags = 'etcd;node;seeder'
  const described = { description: describeNode(own) }

  it('is ours with tags, token and entry', () => {
    expect(ownershipOf(own, guest(201, { tags }, described))).toBe('ours')
  })

  it.each([
    ['with another id', guest(202, { tags }, described)],
    ['without the tag node', guest(201, { tags: 'etcd;seeder' }, described)],
    ['without the tag seeder', guest(201, { tags: 'etcd;node' }, described)],
    ['without the token', guest(201, { tags }, { description: 'seeder-node: ' })],
    ['with another token', guest(201, { tags }, { description: `seeder-node: ${'b'.repeat(32)}` })],
    [
      'with the token in the middle of a line',
      guest(201, { tags }, { description: `x seeder-node: ${own.token}` }),
    ],
    ['that is a container', guest(201, { tags }, { ...described, kind: 'lxc' })],
    ['that is incomplete', guest(201, { lock: 'clone' }, { description: ' qmclone temporary file' })],
  ])('is somebody else’s %s', (_, other) => {
    expect(ownershipOf(own, other)).toBe('foreign')
  })

  it('has the template’s tags until it gets its own', () => {
    const clone = guest(201, { tags: 'current;etcd;seeder', lock: 'clone' }, described)
    expect(ownershipOf({ ...own, state: 'creating' }, clone)).toBe('ours')
    expect(ownershipOf(own, clone)).toBe('foreign')
  })

  it('is incomplete after a killed clone or destroy of ours', () => {
    const clone = guest(201, { lock: 'clone' }, { description: ' qmclone temporary file' })
    const unlocked = guest(201, {}, { description: ' qmclone temporary file' })
    const destroyed = guest(201, { lock: 'destroyed' })
    for (const rest of [clone, unlocked, destroyed, guest(201)]) {
      expect(ownershipOf({ ...own, state: 'creating' }, rest)).toBe('incomplete')
      expect(ownershipOf({ ...own, state: 'destroying' }, rest)).toBe('incomplete')
      expect(ownershipOf({ ...own, state: 'creating', cloned: false }, rest)).toBe('foreign')
      expect(ownershipOf(own, rest)).toBe('foreign')
    }
  })

  it('is foreign when it has any setting', () => {
    const creating = { ...own, state: 'creating' } as const
    expect(ownershipOf(creating, guest(201, { lock: 'create' }))).toBe('foreign')
    expect(ownershipOf(creating, guest(201, { lock: 'backup' }))).toBe('foreign')
    expect(ownershipOf(creating, guest(201, { lock: 'clone', scsi0: 'local:201/vm-201-disk-0.raw' }))).toBe(
      'foreign',
    )
    expect(ownershipOf(creating, guest(201, {}, { description: 'my VM' }))).toBe('foreign')
  })
})
