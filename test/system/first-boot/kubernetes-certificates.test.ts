import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type EtcdFiles,
  files,
  makeEtcdFiles,
  makeKubernetesNode,
} from '../../support/first-boot/kubernetes-site.ts'
import type { Node } from '../../support/first-boot/node.ts'
import { goPrograms } from '../../support/programs/build.ts'

/** The renewal of a node's certificates, with the real kubeadm and crictl. */
let etcd: EtcdFiles
let node: Node
const apiServer = '/etc/kubernetes/pki/apiserver.crt'
const state = '/var/lib/seeder/certificates.state'
const renewed = '/var/lib/seeder/certificates.renewed'
const metrics = '/var/lib/prometheus/node-exporter/seeder_certificates.prom'

beforeAll(async () => {
  etcd = await makeEtcdFiles()
})
beforeEach(async () => {
  node = await makeKubernetesNode(etcd, 'init')
  node.programs = [...node.programs, (await goPrograms('cri-tools')).usr]
  expect((await node.boot()).status.state).toBe('ready')
  for (const phase of ['certs', 'kubeconfig']) {
    const { stderr, exitCode } = await node.enter(
      '/usr/bin/kubeadm',
      'init',
      'phase',
      phase,
      'all',
      '--config',
      files.config,
    )
    expect(exitCode, stderr).toBe(0)
  }
})
afterEach(() => node.dispose())

const run = (...argv: string[]) => node.enter('/usr/lib/seeder/certificates', ...argv)
const inAYear = new Date(Date.now() + 365 * 86_400_000).toISOString().slice(0, 10)

describe('certificates of a control plane', () => {
  test('stay as they are until 60 days before they expire', async () => {
    // The operator's own for etcd live for a day in this test.
    await node.write(files.etcdCa, '')
    await node.write(files.etcdCrt, '')
    const before = await node.read(apiServer)
    const { exitCode, stdout, stderr } = await run()
    expect(stderr).toBe('')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^valid until \d{4}-\d\d-\d\d, then \S+ expires$/)
    expect(stdout).toContain(inAYear)
    expect(await node.read(apiServer)).toBe(before)
    expect(await node.read(state)).toBe(`${stdout}\n`)
    expect(await node.read(renewed)).toBeUndefined()
    const lines = (await node.read(metrics))?.split('\n').filter((line) => line.includes('{name='))
    expect(lines?.map((line) => /name="([^"]+)"/.exec(line)?.[1])).toEqual([
      'apiserver',
      'apiserver-kubelet-client',
      'front-proxy-client',
      'admin.conf',
      'super-admin.conf',
      'controller-manager.conf',
      'scheduler.conf',
      'ca',
      'front-proxy-ca',
    ])
  })

  test('are renewed when they are due; what has read them is restarted, by the next run if not by this one', async () => {
    const read = () =>
      Promise.all(
        [apiServer, '/etc/kubernetes/admin.conf', '/etc/kubernetes/pki/ca.crt'].map((path) =>
          node.read(path),
        ),
      )
    const before = await read()
    // containerd does not run here.
    const { exitCode, stdout } = await run('400')
    expect(exitCode).toBe(1)
    const after = await read()
    expect(after[0]).not.toBe(before[0])
    expect(after[1]).not.toBe(before[1])
    expect(after[2]).toBe(before[2])
    expect(stdout).toContain('renewing controller-manager.conf')
    expect(await node.read(renewed)).toBe('kube-scheduler\nkube-controller-manager\nkube-apiserver\n')
    expect(await node.read(state)).toContain(
      '; a static pod was not restarted: journalctl -u seeder-certificates',
    )
    const again = await run()
    expect(again.exitCode).toBe(1)
    expect(again.stdout).not.toContain('renewing')
  })

  test('that expire and cannot be renewed, or cannot be read, are named', async () => {
    await node.write(files.etcdCrt, etcd.expired)
    await node.write('/etc/kubernetes/pki/front-proxy-client.crt', 'nothing')
    expect((await run()).exitCode).toBe(0)
    expect(await node.read(state)).toMatch(
      /^valid until \S+, then apiserver-etcd-client expires; this node cannot renew it; no certificate: front-proxy-client$/m,
    )
  })

  test('without the key of their CA stay, and the reason is in the status', async () => {
    const before = await node.read(apiServer)
    expect((await node.enter('/bin/rm', '/etc/kubernetes/pki/ca.key')).exitCode).toBe(0)
    expect((await run('400')).exitCode).toBe(1)
    expect(await node.read(apiServer)).toBe(before)
    expect(await node.read(state)).toMatch(
      /; kubeadm could not renew apiserver \S.*: journalctl -u seeder-certificates$/m,
    )
    // The front proxy's has a CA of its own.
    expect(await node.read(state)).not.toContain('front-proxy-client')
    expect(await node.read(renewed)).toBeDefined()

    await node.write(renewed, 'kube-scheduler\n')
    expect((await node.enter('/bin/rm', renewed, '/etc/kubernetes/pki/front-proxy-ca.key')).exitCode).toBe(0)
    expect((await run('400')).exitCode).toBe(1)
    // Nothing is restarted for nothing.
    expect(await node.read(renewed)).toBeUndefined()
  })
})
