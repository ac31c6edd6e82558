import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Node } from '../../support/first-boot/node.ts'

// The image's own scripts, with nft and the kernel of this machine, in a network of their own.
const wanted = '/etc/seeder/firewall.nft'
const good = 'NODEPORTS=30080\nNODEPORT_BACKENDS=w1=10.0.0.80\n'
const listing = 'nft list table inet seeder'

let node: Node
beforeEach(async () => {
  node = await Node.make()
  await node.write('/etc/seeder/node.env', good)
})
afterEach(() => node.dispose())

/** Runs a script in a node that is up, in one network from its beginning to its end. */
async function shell(script: string): Promise<string> {
  const { stdout, stderr, exitCode } = await node.enter('/bin/bash', '-c', script)
  if (exitCode !== 0) throw new Error(`exit ${exitCode}: ${stdout}${stderr}`)
  return stdout
}

const load = '/usr/lib/seeder/firewall load'
const check = '/usr/lib/seeder/firewall check'

describe('a firewall that cannot be loaded', () => {
  const whole = 'table inet seeder\ndelete table inet seeder\n'
  test.each([
    ['is missing', undefined, 'there is no such file'],
    ['is empty', '', 'it makes no table that drops what no rule lets in'],
    ['is cut off within a rule', `${whole}table inet seeder {\n\tchain input {\n`, 'nft refuses it: '],
    ['is cut off before its table', whole, 'it makes no table that drops what no rule lets in'],
    ['is a comment', '# worker\n', 'it makes no table that drops what no rule lets in'],
    ['is zeros', '\0'.repeat(4096), 'it makes no table that drops what no rule lets in'],
    [
      'lets everything in',
      `${whole}table inet seeder {\n\tchain input { type filter hook input priority filter; policy accept; }\n}\n`,
      'it makes no table that drops what no rule lets in',
    ],
    [
      'has no place in the kernel’s path',
      `${whole}table inet seeder {\n\tchain input { tcp dport 22 accept; }\n}\n`,
      'it makes no table that drops what no rule lets in',
    ],
  ])('%s: first boot fails, no service is started, ssh alone is open', async (_, text, reason) => {
    if (text === undefined) await node.remove(wanted)
    else await node.write(wanted, text)
    const { exitCode, status, calls, console } = await node.boot()
    expect(exitCode).toBe(1)
    expect(status).toMatchObject({
      state: 'failed',
      reason: `firewall: ${wanted} could not be loaded, so nothing is let in but ssh: see journalctl -u seeder-firewall`,
    })
    expect(calls).toEqual([])
    expect(console[0]).toContain(`seeder-firewall: ${wanted} cannot be loaded: ${reason}`)
    expect(await node.read('/run/seeder/firewall')).toMatch(/^[0-9a-f]{64} fallback\n$/)

    const table = await shell(`! ${load} >/dev/null && ${listing}`)
    expect(table.match(/policy \w+/g)).toEqual(['policy drop', 'policy drop', 'policy drop'])
    expect(table.match(/.*tcp dport.*accept.*/g)?.map((line) => line.trim())).toEqual([
      'ip saddr 192.168.3.0/24 tcp dport 22 accept comment "ssh"',
    ])
  })

  test('is a pipe, which nobody ever writes to', async () => {
    await node.remove(wanted)
    await shell(`mkfifo ${wanted}`)
    expect((await node.boot()).status.state).toBe('failed')
  })

  test('leaves the machine without a network when the other one cannot be loaded either', async () => {
    await node.write(wanted, '')
    await node.write('/made/usr/lib/seeder/fallback.nft', 'table inet seeder {\n')
    const { status, console } = await node.boot()
    expect(status).toMatchObject({
      state: 'failed',
      reason: 'firewall: none is loaded: see journalctl -u seeder-firewall',
    })
    expect(console[1]).toContain('this machine stays without a network')
    // What systemd-networkd does not start without.
    expect(await node.read('/run/seeder/firewall')).toBeUndefined()
    const unit = await shell('cat /usr/lib/systemd/system/systemd-networkd.service.d/seeder.conf')
    expect(unit).toContain('\nAssertPathExists=/run/seeder/firewall\n')
  })

  test('does not replace one that was loaded before', async () => {
    const before = await shell(`${load}; ${listing}`)
    await node.write(wanted, whole)
    const copy = `cp ${wanted} /tmp/bad; cp /tmp/good ${wanted}; ${load}; cp /tmp/bad ${wanted}`
    await node.write('/tmp/good', `${whole}${before}`)
    const after = await shell(`${copy}; ! ${load} >/dev/null && ${check} && ${listing}`)
    expect(after).toBe(before)
  })
})

describe('a firewall that was loaded', () => {
  const up = `${load} && /usr/lib/seeder/first-boot >/dev/null`
  test.each([
    ['is there: ready', 'true', 'ready', 'NodePorts 30080 of 1 workers'],
    [
      'was taken away with all others',
      'nft flush ruleset',
      'failed',
      'firewall: it was loaded and is gone: systemctl restart seeder-firewall loads it again',
    ],
    [
      'was emptied',
      'nft flush table inet seeder',
      'failed',
      'firewall: it is not what was loaded any more: systemctl restart seeder-firewall loads it again',
    ],
    [
      'has a rule more',
      'nft insert rule inet seeder input accept',
      'failed',
      'firewall: it is not what was loaded any more: systemctl restart seeder-firewall loads it again',
    ],
  ])('%s', async (_, change, state, reason) => {
    const said = await shell(`${up} && ${change}; /usr/lib/seeder/status || true`)
    expect(JSON.parse(said.split('\n').at(-1) ?? '')).toMatchObject({ state, reason })
  })

  test('has the peers of node.env, also when it is loaded again, and no rule of anybody else', async () => {
    await node.write('/etc/seeder/node.env', `${good}VIP=10.0.0.51/26\nVRRP_PEERS="10.0.0.12 10.0.0.13"\n`)
    await node.boot()
    const peers = 'nft list set inet seeder vrrp_peers'
    expect(await shell(`${load}; ${load}; ${peers}`)).toContain('elements = { 10.0.0.12, 10.0.0.13 }')
    await node.write('/etc/seeder/vrrp-peers', '10.0.0.14\n0.0.0.0/0\n} ; flush ruleset ; {\n')
    expect(await shell(`${load}; ${peers}`)).toContain('elements = { 10.0.0.14 }')
  })
})
