import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type DriftResult, driftResultSchema } from '../../../src/guest/drift-result.ts'
import { Node } from '../../support/first-boot/node.ts'

/**
 * `seeder-drift` as it is in the image, on a node whose kernel, /usr and units nobody compares here: that takes a machine
 * that boots (see the boot tests). What is under test is which files are right, and in which words the others are named.
 */
let node: Node
beforeEach(async () => {
  node = await Node.make()
})
afterEach(async () => {
  await node.dispose()
})

const values = 'NODEPORTS="30080"\nNODEPORT_BACKENDS="w1=10.0.0.65"\n'

async function drift(
  ...argv: string[]
): Promise<{ exitCode: number | undefined; stderr: string; said?: DriftResult }> {
  const { exitCode, stdout, stderr } = await node.enter('/usr/sbin/seeder-drift', ...argv)
  return { exitCode, stderr, ...(stdout ? { said: driftResultSchema.parse(JSON.parse(stdout)) } : {}) }
}

/** What is found about files and links, `kind name: detail`. */
async function found(): Promise<string[]> {
  const { said, stderr } = await drift('check')
  if (!said) throw new Error(stderr)
  const files = said.findings.filter(({ kind }) => /^(file|unit)-/.test(kind))
  return files.map(({ kind, name, detail }) => `${kind} ${name}: ${detail}`)
}

async function shell(script: string): Promise<void> {
  const { exitCode, stderr } = await node.enter('/bin/bash', '-euc', script)
  if (exitCode !== 0) throw new Error(stderr)
}

/** A node that has its role: cloud-init has written before, first boot has run. */
async function booted(): Promise<void> {
  await node.write('/etc/seeder/node.env', values)
  await node.write('/etc/hostname', 'lb1\n')
  expect((await node.boot()).status).toMatchObject({ state: 'ready' })
}

describe('what first boot does', () => {
  test('is no drift, and neither is what cloud-init did before it', async () => {
    await booted()
    expect(await node.read('/etc/haproxy/conf.d/seeder.cfg')).toContain('10.0.0.65')
    expect(await found()).toEqual([])
  })

  test('is pending until it has succeeded once', async () => {
    await node.write('/etc/seeder/node.env', 'NODEPORTS="nonsense"\n')
    expect((await node.boot()).status.state).toBe('failed')
    const { exitCode, said } = await drift('check')
    expect([exitCode, said?.state, said?.findings]).toEqual([2, 'pending', []])
    await booted()
    expect(await found()).toEqual([])
  })

  test('is no drift when it runs again, but changes made before that are', async () => {
    await booted()
    await node.write('/etc/seeder/node.env', values.replace('65', '66'))
    await node.write('/etc/motd', 'hello\n')
    expect((await node.run()).status.state).toBe('ready')
    expect(await node.read('/etc/haproxy/conf.d/seeder.cfg')).toContain('10.0.0.66')
    const names = (await found()).map((line) => line.split(':')[0])
    expect(names).toEqual(['file-added /etc/motd', 'file-changed /etc/seeder/node.env'])
  })

  test('of which a later run fails keeps its own changes right', async () => {
    await booted()
    await node.write('/var/broken', 'haproxy.service\n')
    await node.write('/etc/seeder/node.env', values.replace('65', '67'))
    expect((await node.run()).status.state).toBe('failed')
    expect((await found()).map((line) => line.split(':')[0])).toEqual(['file-changed /etc/seeder/node.env'])
  })
})

describe('a change after it', () => {
  test('is reported with its kind', async () => {
    await booted()
    await shell(`
      echo changed >/etc/hostname
      chmod 0600 /etc/fstab
      rm /etc/repart.d/50-root.conf
      mkdir /etc/added && ln -s /nowhere '/etc/added/a "link"'
      ln -sf /dev/zero /etc/systemd/system-generators/systemd-rc-local-generator
      mkdir -p /etc/systemd/system/multi-user.target.wants
      ln -s /etc/evil.service /etc/systemd/system/multi-user.target.wants/evil.service
      ln -s /dev/null /etc/systemd/system/haproxy.service
      mkdir -p /root/.ssh && echo key >/root/.ssh/authorized_keys
    `)
    expect(await found()).toEqual([
      'file-added /etc/added: a folder, mode 0755, owner 0:0',
      'file-added /etc/added/a "link": a link to /nowhere',
      'file-changed /etc/fstab: mode 0600 instead of 0644',
      expect.stringMatching(/^file-changed \/etc\/hostname: sha256 [0-9a-f]{64} instead of [0-9a-f]{64}$/),
      expect.stringMatching(
        /^file-removed \/etc\/repart.d\/50-root.conf: it was a file, mode 0644, owner 0:0, /,
      ),
      expect.stringMatching(/^file-added \/etc\/systemd\/system: a folder/),
      expect.stringMatching(
        /^file-changed .*systemd-rc-local-generator: it is a link to \/dev\/zero; it was a file/,
      ),
      'unit-masked haproxy.service: by /etc/systemd/system/haproxy.service',
      'unit-enabled evil.service: for multi-user.target, by /etc/systemd/system/multi-user.target.wants/evil.service',
      expect.stringMatching(/^file-added \/root: /),
      expect.stringMatching(/^file-added \/root\/.ssh: /),
      expect.stringMatching(/^file-added \/root\/.ssh\/authorized_keys: /),
    ])
  })

  test('is right once somebody has accepted it, and the result says so', async () => {
    await booted()
    await shell('echo changed >/etc/hostname; rm /etc/fstab; echo more >/etc/more')
    expect((await drift('accept', '/etc/hostname', '/etc/fstab')).exitCode).toBe(0)
    expect((await found()).map((line) => line.split(':')[0])).toEqual(['file-added /etc/more'])
    const { said } = await drift('show')
    expect(said?.accepted.toSorted()).toEqual(['/etc/fstab', '/etc/hostname'])
    await shell('echo again >/etc/hostname')
    expect(await found()).toHaveLength(2)
  })

  test('of very many files has an answer that fits the agent', async () => {
    await booted()
    await shell('mkdir /etc/many && touch /etc/many/{1..300}')
    const { said } = await drift('check')
    expect(said?.findings).toHaveLength(200)
    expect(said?.total).toBeGreaterThanOrEqual(301)
  })

  test('by the network add-on of Kubernetes is no drift', async () => {
    await node.dispose()
    node = await Node.make('kubernetes-node')
    await node.boot()
    await shell(
      'mkdir -p /etc/cni/net.d && echo {} >/etc/cni/net.d/10-weave.conflist && echo >/etc/cni/other',
    )
    await shell('mkdir -p /opt/cni/bin && echo >/opt/cni/bin/weave-net && echo >/opt/cni/other')
    expect((await found()).map((line) => line.split(':')[0])).toEqual([
      'file-added /etc/cni',
      'file-added /etc/cni/other',
      'file-added /opt',
      'file-added /opt/cni',
      'file-added /opt/cni/other',
    ])
  })
})

test.each([
  ['does not answer', 'refused\n', /Connection refused\n.*it could not be done/],
  ['is killed during the query', '', /it could not be done/],
])('a systemd that %s is no machine without drift', async (_, unanswered, words) => {
  await booted()
  await node.write('/var/unanswered', unanswered)
  const { exitCode, stderr } = await drift('check')
  expect([exitCode, stderr]).toEqual([3, expect.stringMatching(words)])
})

test('metrics and the kept result are of the last check', async () => {
  await booted()
  await shell('echo >/etc/one; echo >/etc/two')
  const { said } = await drift('check')
  expect((await drift('show')).said).toEqual(said)
  const metrics = await node.read('/var/lib/prometheus/node-exporter/seeder_drift.prom')
  expect(metrics).toContain('seeder_drift_findings{kind="file-added"} 2\n')
  expect(metrics).toContain('seeder_drift_findings{kind="file-removed"} 0\n')
  expect(metrics).toContain(
    `seeder_drift_checked_timestamp_seconds ${Date.parse(said?.taken ?? '') / 1000}\n`,
  )
})

test.each([
  [['check', '--fast'], 'it is: seeder-drift check [--gently]'],
  [['accept'], 'seeder-drift accept with a path'],
  [['nonsense'], 'check, show, accept, begin or end'],
  [['show'], 'nothing was compared yet'],
  [['accept', '/etc/fstab'], 'first boot is not done'],
  [['end', 'first-boot'], 'first-boot has not begun anything'],
])('%j is refused', async (argv, words) => {
  const { exitCode, stderr } = await drift(...argv)
  expect([exitCode, stderr]).toEqual([3, expect.stringContaining(words)])
})
