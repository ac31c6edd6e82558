import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { fallbackFor } from '../../../src/platform/fallback.ts'
import { parsePlatform } from '../../../src/platform/load.ts'
import { nftablesFor } from '../../../src/platform/nftables.ts'
import { roleNames } from '../../../src/platform/schema.ts'

const file = join(import.meta.dirname, '../../../platform.yaml')
const text = await readFile(file, 'utf8')
const platform = parsePlatform(text, file)

/** Runs a shell script as root of a network of its own, with `input` on its stdin. */
function inOwnNetwork(script: string, input: string) {
  return execa('unshare', ['--user', '--map-root-user', '--net', 'sh', '-ec', script], { input })
}

describe.each(roleNames)('the firewall of %s', (role) => {
  const ruleset = nftablesFor(platform, role)

  it('is the golden file', async () => {
    await expect(ruleset).toMatchFileSnapshot(`golden/${role}.nft`)
  })

  it('is accepted by nft', async () => {
    await inOwnNetwork('nft -c -f -', ruleset)
  })

  it('replaces its own table and no other', async () => {
    const { stdout } = await inOwnNetwork(
      `nft add table ip kube-proxy
       nft add table inet seeder
       nft add chain inet seeder leftover
       cat > /dev/shm/seeder-$$.nft; trap 'rm /dev/shm/seeder-$$.nft' EXIT
       nft -f /dev/shm/seeder-$$.nft
       nft -f /dev/shm/seeder-$$.nft
       nft list tables
       nft list chains`,
      ruleset,
    )
    expect(stdout).toContain('table ip kube-proxy\ntable inet seeder\n')
    expect(stdout).not.toContain('leftover')
  })
})

describe('a flow', () => {
  const withFlow = (flow: string) => parsePlatform(`${text}  extra: ${flow}\n`, file)

  it.each([
    [
      '{ from: [any], to: [etcd], protocols: [icmp], why: x }',
      [
        'icmp type echo-request accept comment "extra from any"',
        'icmpv6 type echo-request accept comment "extra from any"',
      ],
    ],
    [
      '{ from: [172.16.0.0/12], to: [etcd], protocols: [udp, tcp], ports: [53, 5000-5010], why: x }',
      [
        'ip saddr 172.16.0.0/12 meta l4proto { tcp, udp } th dport { 53, 5000-5010 } accept comment "extra from 172.16.0.0/12"',
      ],
    ],
    [
      '{ from: [0.0.0.0/0], to: [etcd], protocols: [all], why: x }',
      ['ip saddr 0.0.0.0/0 accept comment "extra from 0.0.0.0/0"'],
    ],
    ['{ from: [any], to: [etcd], protocols: [all], why: x, enabled: false }', []],
    ['{ from: [any], to: [worker], protocols: [all], why: x }', []],
  ])('%s becomes its rules', async (flow, rules) => {
    const ruleset = nftablesFor(withFlow(flow), 'etcd')
    const extra = ruleset.split('\n').filter((line) => line.includes('"extra from'))
    expect(extra.map((line) => line.trim())).toEqual(rules)
    await inOwnNetwork('nft -c -f -', ruleset)
  })

  it.each(['pods', 'services', 'worker', 'haproxy'])('of every kind to %s is accepted by nft', async (to) => {
    const from =
      to === 'haproxy' ? '[any, home, etcd, 172.16.0.0/12]' : '[any, pods, home, etcd, 172.16.0.0/12]'
    const sources = to === 'pods' || to === 'services' ? '[any, home, etcd, 172.16.0.0/12]' : from
    for (const what of ['all', 'icmp', 'vrrp', 'tcp], ports: [1, 5-9', 'tcp, udp], ports: [80']) {
      const site = withFlow(`{ from: ${sources}, to: [${to}], protocols: [${what}], why: x }`)
      for (const role of roleNames) await inOwnNetwork('nft -c -f -', nftablesFor(site, role))
    }
  })
})

describe('the firewall of a machine whose own cannot be loaded', () => {
  const fallback = fallbackFor(platform, ['worker', 'control-plane'])

  it('is the golden file, and is accepted by nft', async () => {
    await expect(fallback).toMatchFileSnapshot('golden/fallback.nft')
    await inOwnNetwork('nft -c -f -', fallback)
  })

  it('accepts nothing when the platform file allows nothing', async () => {
    const closed = { ...platform, flows: {} }
    expect(fallbackFor(closed, ['worker'])).not.toContain('dport 22')
    await inOwnNetwork('nft -c -f -', fallbackFor(closed, ['worker']))
  })
})
