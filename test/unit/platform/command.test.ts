import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { registerPlatformCommand } from '../../../src/commands/platform.ts'
import { published } from '../../support/schemas.ts'

const project = join(import.meta.dirname, '../../..')

/** What `seeder platform ARGS` prints; errors are thrown as the command throws them. */
async function run(...args: string[]): Promise<string> {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  write.mockClear()
  const program = new Command('seeder').exitOverride().configureOutput({ writeErr: () => undefined })
  registerPlatformCommand(program, () => project)
  await program.parseAsync(['platform', ...args], { from: 'user' })
  return write.mock.calls.map(([text]) => String(text)).join('')
}

afterEach(() => {
  vi.restoreAllMocks()
})

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder platform '))
})
afterAll(() => rm(folder, { recursive: true }))

describe('platform check', () => {
  it('prints a line for a good file', async () => {
    expect(await run('check')).toBe(
      'OK platform.yaml: 6 zones, 200 node addresses, 4 roles, 2 VIPs, 17 flows\n',
    )
    expect(await published('printed/platform-check', JSON.parse(await run('check', '--json')))).toEqual({
      file: 'platform.yaml',
      ok: true,
      zones: 6,
      nodeAddresses: 200,
      roles: 4,
      vips: 2,
      flows: 17,
      shared: [],
    })
  })

  it('warns where roles share a range, so that a firewall cannot distinguish them', async () => {
    const text = await readFile(join(project, 'platform.yaml'), 'utf8')
    const shared = join(folder, 'shared.yaml')
    await writeFile(shared, text.replace(/ {4}addresses: \{ back: .*\n/, ''))
    expect(await run('check', '--platform', shared)).toContain(
      '\nwarning: etcd, control-plane share the addresses of zone back: firewalls cannot distinguish them there; give each of them addresses: { back: … }\n',
    )
    expect(JSON.parse(await run('check', '--json', '--platform', shared))).toMatchObject({
      shared: [{ zone: 'back', roles: ['etcd', 'control-plane'] }],
    })
  })

  it('names the given file', async () => {
    const bad = join(folder, 'bad.yaml')
    await writeFile(bad, 'zones: 3\n')
    await expect(run('check', '--platform', bad)).rejects.toMatchObject({
      name: 'UsageError',
      message: expect.stringContaining(`${bad}:1:8: zones: found 3; give a map of keys`),
    })
    const missing = join(folder, 'none.yaml')
    await expect(run('check', '--platform', missing)).rejects.toThrow(`${missing}: no such file`)
  })
})

describe('platform network', () => {
  it('prints the zones of a role', async () => {
    expect(await run('network', '--role', 'control-plane')).toBe(
      [
        'zone    bridge  cidr           nodes                  host  gateway  vips            free for vips          roles',
        '------  ------  -------------  ---------------------  ----  -------  --------------  ---------------------  ------------------------------',
        'middle  vmbr12  10.0.0.64/26   10.0.0.65-10.0.0.114   -     -        api 10.0.0.115  10.0.0.116-10.0.0.126  haproxy, control-plane, worker',
        'back    vmbr13  10.0.0.128/26  10.0.0.129-10.0.0.178  -     -        -               10.0.0.179-10.0.0.190  etcd, control-plane',
        '',
      ].join('\n'),
    )
  })

  it('prints the tag and the MTU of a zone with its bridge', async () => {
    const text = await readFile(join(project, 'platform.yaml'), 'utf8')
    const tagged = join(folder, 'tagged.yaml')
    await writeFile(
      tagged,
      text
        .replace('bridge: vmbr13', 'bridge: vmbr0\n    vlan: 20\n    mtu: 1400')
        .replace('bridge: vmbr14', 'bridge: vmbr0\n    vlan: 30'),
    )
    const printed = await run('network', '--platform', tagged)
    expect(printed.split('\n').map((line) => line.split(/ {2,}/)[1])).toEqual(
      expect.arrayContaining(['vmbr0', 'vmbr0, vlan 20, mtu 1400', 'vmbr0, vlan 30']),
    )
    const json = JSON.parse(await run('network', '--json', '--platform', tagged))
    const rows = await published('printed/platform-network', json)
    expect(rows[4]).toMatchObject({ zone: 'back', bridge: 'vmbr0', vlan: 20, mtu: 1400 })
  })

  it('prints JSON', async () => {
    const rows = await published('printed/platform-network', JSON.parse(await run('network', '--json')))
    expect(rows[2]).toEqual({
      zone: 'front',
      title: 'Front',
      bridge: 'vmbr11',
      vlan: null,
      mtu: null,
      cidr: '10.0.0.0/26',
      range: '10.0.0.1-10.0.0.50',
      host: null,
      gateway: null,
      free: ['10.0.0.52-10.0.0.62'],
      vips: [{ name: 'edge', address: '10.0.0.51', role: 'haproxy' }],
      roles: ['haproxy'],
    })
  })
})

describe('platform ports', () => {
  it('prints what a role receives', async () => {
    expect(await run('ports', '--role', 'etcd')).toBe(
      [
        'to    from                       protocol  ports  flow         why',
        '----  -------------------------  --------  -----  -----------  ---------------------------------------------------------------------',
        "etcd  home                       tcp       22     ssh          the operator's rescue access, with keys only",
        'etcd  home, front, middle, back  icmp      -      ping         reachability tests',
        'etcd  control-plane, etcd        tcp       2379   etcd-client  API servers read and write, members query each other before they join',
        'etcd  etcd                       tcp       2380   etcd-peer    Raft between members, and nobody else',
        '',
      ].join('\n'),
    )
  })

  it('shows disabled flows', async () => {
    expect(await run('ports', '--role', 'worker')).toContain('weave-metrics (off)')
  })

  it('prints JSON', async () => {
    await published('printed/platform-ports', JSON.parse(await run('ports', '--json')))
    expect(JSON.parse(await run('ports', '--role', 'etcd', '--json'))[3]).toEqual({
      flow: 'etcd-peer',
      to: 'etcd',
      from: [{ name: 'etcd', addresses: '10.0.0.129-10.0.0.153' }],
      protocols: ['tcp'],
      ports: ['2380'],
      enabled: true,
      why: 'Raft between members, and nobody else',
    })
  })

  it('prints the firewall of a role', async () => {
    const ruleset = await run('ports', '--nft', '--role', 'haproxy')
    expect(ruleset).toMatch(/^#!\/usr\/sbin\/nft -f\n/)
    const printed = JSON.parse(await run('ports', '--nft', '--role', 'haproxy', '--json'))
    expect(await published('printed/platform-ruleset', printed)).toEqual({
      role: 'haproxy',
      ruleset,
    })
  })

  it('refuses --nft without a role, and an unknown role', async () => {
    await expect(run('ports', '--nft')).rejects.toMatchObject({
      name: 'UsageError',
      message: 'platform ports --nft: no role given',
      fix: 'add --role with one of haproxy, etcd, control-plane, worker',
    })
    await expect(run('ports', '--role', 'vault')).rejects.toThrow(
      'Allowed choices are haproxy, etcd, control-plane, worker.',
    )
  })
})
