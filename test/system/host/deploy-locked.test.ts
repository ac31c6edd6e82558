import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Fault } from '../../stand-ins/proxmox/fault.ts'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { configsOf, deploy, inventory, mustDeploy } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'
import { PreparedHost } from '../../support/deploy/prepared.ts'

/** deploy.sh and VMs that somebody works on: a lock that no command of its own left is not taken away. */
const root = await testFolder('deploy locked')
let images: SmallImage[]
/** A host with both images. */
let prepared: PreparedHost
let host: PveHost

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1'].map((version) => makeSmallImage(join(root, version), { version })),
  )
  const deploys = images.map(({ folder }) => ['--storage', 'local', folder])
  prepared = await PreparedHost.make(join(root, 'host'), ...deploys)
})
beforeEach(async () => {
  host = await prepared.start()
  return () => host.remove()
})
afterAll(async () => {
  await prepared.remove()
  await rm(root, { recursive: true, force: true })
})

const retire = ['--retire', '--keep', '1']

/** Writes a lock into a configuration, as the command does that works on the VM; none takes it away. */
async function lock(vmid: number, kind: string): Promise<void> {
  const script = 'sed -i "/^lock: /d" "$0"; [ -z "$1" ] || echo "lock: $1" >>"$0"'
  await host.run(['sh', '-euc', script, `/etc/pve/qemu-server/${vmid}.conf`, kind])
}

/** Cuts the power at a call of a run. */
async function cutAt(
  fault: Pick<Fault & { when: 'before' | 'middle' | 'late' | 'after' }, 'when' | 'match'>,
  argv: readonly string[],
) {
  await host.faults.set({ kind: 'power-cut', at: 1, ...fault })
  const cut = deploy(host, argv).catch(() => undefined)
  await host.waitForPowerCut()
  await cut
  await host.start()
  await host.faults.clear()
}

test.each(['backup', 'migrate', 'snapshot', 'clone', 'create', 'destroyed'])(
  'a template with the lock %s is kept, and retired when that is over',
  async (kind) => {
    await lock(9000, kind)
    const before = await inventory(host)
    const { stderr } = await mustDeploy(host, retire)
    expect(stderr).toContain(`haproxy 3.0.11-1 (template 9000) is kept: it is locked (${kind})`)
    expect(await inventory(host)).toBe(before)
    await lock(9000, '')
    await mustDeploy(host, retire)
    expect([...(await configsOf(host)).keys()]).toEqual([9001])
  },
)

test('a lock that appears between the check and the removal is respected, too', async () => {
  const config = `${(await host.configs()).get(9000)}lock: backup\n`
  await host.faults.set({ kind: 'foreign-vm', vmid: 9000, config, match: '^qm destroy', at: 1 })
  const { stderr } = await mustDeploy(host, retire)
  await host.faults.clear()
  expect(stderr).toContain('haproxy 3.0.11-1 (template 9000) is kept: it is locked (backup)')
  expect((await host.configs()).get(9000)).toBe(config)
  expect(await readFile(host.path('/var/lib/seeder/templates/9000'), 'utf8')).toContain('VERSION=3.0.11-1')
  await lock(9000, '')
  await mustDeploy(host, retire)
  expect([...(await configsOf(host)).keys()]).toEqual([9001])
})

test('a template that was about to be retired and is locked since is kept by the next run', async () => {
  await cutAt({ when: 'before', match: '^qm destroy' }, retire)
  await lock(9000, 'backup')
  const { stderr } = await mustDeploy(host, ['--recover'])
  expect(stderr).toContain('haproxy 3.0.11-1 (template 9000) is kept: it is locked (backup)')
  expect((await configsOf(host)).get(9000)).toMatchObject({ lock: 'backup', template: '1' })
  // The transaction is over.
  expect((await mustDeploy(host, ['--recover'])).stderr).toBe('')
})

test('a half-removed template with a lock of others is not unlocked, and removed when the lock is gone', async () => {
  await cutAt({ when: 'middle', match: '^qm destroy' }, retire)
  await lock(9000, 'backup')
  const { code, stderr } = await deploy(host, ['--recover'])
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining('could not remove template 9000: it is locked (backup)'),
  ])
  expect((await configsOf(host)).get(9000)?.lock).toBe('backup')
  await lock(9000, '')
  await mustDeploy(host, ['--recover'])
  expect([...(await configsOf(host)).keys()]).toEqual([9001])
})

test('the lock that an interrupted removal of its own left is taken away', async () => {
  await cutAt({ when: 'late', match: '^qm destroy' }, retire)
  expect(await configsOf(host)).toEqual(
    new Map([
      [9000, { lock: 'destroyed' }],
      [9001, expect.anything()],
    ]),
  )
  await mustDeploy(host, ['--recover'])
  expect([...(await configsOf(host)).keys()]).toEqual([9001])
})

test('a VM that was being made and is locked by somebody stays until that is over', async () => {
  await mustDeploy(host, retire)
  const before = await inventory(host)
  const again = ['--storage', 'local', images[0]?.folder ?? '']
  await cutAt({ when: 'after', match: '^qm disk resize' }, again)
  await lock(9000, 'backup')
  const { code, stderr } = await deploy(host, ['--recover'])
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining('VM 9000 is not removed: it is locked (backup)'),
  ])
  expect((await configsOf(host)).get(9000)?.lock).toBe('backup')
  await lock(9000, '')
  expect((await mustDeploy(host, ['--recover'])).stderr).toContain('it is undone')
  expect(await inventory(host)).toBe(before)
})
