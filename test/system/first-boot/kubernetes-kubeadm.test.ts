import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  callKubeadm,
  certificateKey,
  controlPlaneCards,
  type EtcdFiles,
  files,
  firewallOf,
  makeEtcdFiles,
  makeKubernetesNode,
  type NodeEnv,
  nodeEnvs,
  parseKubeadmConfig,
  token,
} from '../../support/first-boot/kubernetes-site.ts'
import type { Node } from '../../support/first-boot/node.ts'

let etcd: EtcdFiles
let node: Node
beforeAll(async () => {
  etcd = await makeEtcdFiles()
})
afterEach(() => node.dispose())

async function boot(env: NodeEnv) {
  node = await makeKubernetesNode(etcd, env)
  const { status } = await node.boot()
  expect(status.state).toBe('ready')
}

/** cloud-init writes the drive's files at every boot, and Proxmox VE changes the instance id as it likes. */
async function bootAgain(env: NodeEnv) {
  await node.write(files.nodeEnv, nodeEnvs[env], 0o640)
  return node.boot()
}

const call = (action: string) => `kubeadm ${action} --config ${files.config}`

describe.each([
  ['init', 'init', 'control-plane', ' --skip-token-print --upload-certs --skip-certificate-key-print'],
  ['joinControlPlane', 'join', 'control-plane', ''],
  ['joinWorker', 'join', 'worker', ''],
] as const)('%s succeeds', (env, action, role, flags) => {
  beforeEach(() => boot(env))

  test('with the configuration that first boot has checked, and says so', async () => {
    const { exitCode, stdout, stderr, calls, console } = await callKubeadm(node)
    expect(stderr).toBe('')
    expect(exitCode).toBe(0)
    expect(calls).toEqual([call(action) + flags])
    const config = await node.read('/var/kubeadm/called.yaml')
    expect(parseKubeadmConfig(config)).toHaveLength(action === 'init' ? 4 : 1)
    expect(config).toBe(await node.read('/var/kubeadm/validated.yaml'))
    expect(await node.read('/var/kubeadm/called.mode')).toBe('600\n')
    expect(stdout.split('\n')).toEqual([
      `calling kubeadm ${action} for a ${role}, attempt 1`,
      '[kubeadm] done',
      'the token and the certificate key are removed from /etc/seeder/node.env: they have done their work',
      `kubeadm ${action} is done: this node is a ${role} of its cluster`,
    ])
    expect(console).toEqual([
      `seeder-kubeadm: calling kubeadm ${action} for a ${role}, attempt 1`,
      `seeder-kubeadm: kubeadm ${action} is done: this node is a ${role} of its cluster`,
    ])
    expect(await node.read(files.done)).toMatch(
      new RegExp(`^${role} ${action} \\d{4}-\\d\\d-\\d\\dT[\\d:]{8}Z\n$`),
    )
    expect(await node.read(files.state)).toBe(`done: kubeadm ${action} of a ${role}, attempt 1\n`)
  })

  test('leaves no secret behind, and keeps the rest', async () => {
    await callKubeadm(node)
    const left = await node.read(files.nodeEnv)
    expect(left).toBe(nodeEnvs[env].replace(/(JOIN_TOKEN|CERTIFICATE_KEY)=.*\n/g, ''))
    expect(await node.mode(files.nodeEnv)).toBe('600')
    expect(await node.read(files.config)).toBeUndefined()
    expect(await node.read('/run/seeder/kubeadm.log')).toBeUndefined()
  })

  test('is not called again at the next boot, which brings the secrets back and removes them', async () => {
    await callKubeadm(node)
    const { exitCode, console, calls, status } = await bootAgain(env)
    expect(exitCode).toBe(0)
    expect(calls).toEqual([])
    expect(console[1]).toBe(`seeder-first-boot: ready: ${role}, a member of its cluster`)
    expect(status.reason).toBe(
      `${role}, a member of its cluster; kubeadm: done: kubeadm ${action} of a ${role}, attempt 1`,
    )
    expect(await node.read(files.nodeEnv)).not.toContain(token)
    expect(await node.read(files.nodeEnv)).not.toContain(certificateKey)
    expect(await node.read(files.config)).toBeUndefined()
  })

  test('needs no values that are used up', async () => {
    await callKubeadm(node)
    // As it is when the drive has been detached; in a running member also the pods' bridge has an address.
    await node.write(
      '/var/addresses',
      `${controlPlaneCards}9: weave    inet 10.32.0.1/12 scope global weave\n`,
    )
    const { status, calls } = await node.boot()
    expect(status.state).toBe('ready')
    expect(calls).toEqual([])
  })
})

/** The preflight checks that fail because of what the phases of an init leave behind here. */
const apiServerManifest = 'FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml'
const madeByInit = [apiServerManifest, 'Port-6443', 'Port-10250']

describe('kubeadm fails', () => {
  test('it is called again after longer and longer pauses, five minutes at most', async () => {
    await boot('joinWorker')
    await node.write('/var/kubeadm-fails', 'error execution phase preflight: no answer\n'.repeat(7))
    const { exitCode, calls } = await callKubeadm(node)
    expect(exitCode).toBe(0)
    const pauses = [10, 20, 40, 80, 160, 300, 300].flatMap((pause) => [`sleep ${pause}`, call('join')])
    expect(calls).toEqual([call('join'), ...pauses])
    expect(await node.read(files.state)).toBe('done: kubeadm join of a worker, attempt 8\n')
  })

  test('meanwhile the status says why, and the node keeps what it needs', async () => {
    await boot('joinWorker')
    const lines = ['[preflight] Some fatal errors occurred:']
    lines.push('\\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2')
    lines.push('\\t[ERROR Port-10250]: Port 10250 is "in use"', 'error: preflight checks failed')
    lines.push('To see the stack trace of this error execute with --v=5 or higher')
    await node.write('/var/kubeadm-fails', `${lines.join('\\n')}\n`)
    // The power fails in the second attempt: what is seen is the state between the two.
    await node.write('/var/sleep-stops', '')
    const { exitCode, console } = await callKubeadm(node)
    expect(exitCode).toBe(9)
    const why =
      'NumCPU: the number of available CPUs 1 is less than the required 2; Port-10250: Port 10250 is "in use"'
    expect(console.at(-1)).toBe(
      `seeder-kubeadm: kubeadm join came to nothing: ${why}; the next attempt is in 10 s`,
    )
    expect(await node.read(files.state)).toBe(`retrying: attempt 1 of kubeadm join came to nothing: ${why}\n`)
    const status = '/usr/lib/seeder/firewall load; /usr/lib/seeder/status'
    const { stdout } = await node.enter('/bin/bash', '-c', status)
    expect(JSON.parse(stdout)).toMatchObject({
      state: 'ready',
      reason: `worker 10.0.0.70, joins the cluster behind 10.0.0.115:6443; kubeadm: retrying: attempt 1 of kubeadm join came to nothing: ${why}`,
    })
    expect(await node.read(files.done)).toBeUndefined()
    expect(await node.read(files.nodeEnv)).toContain(token)
  })

  test('a join starts over from a clean node', async () => {
    await boot('joinWorker')
    await node.write('/var/kubeadm-fails', 'error execution phase kubelet-start: timed out\n')
    await node.write('/var/kubeadm-leaves', '')
    const { calls } = await callKubeadm(node)
    expect(calls).toEqual([
      call('join'),
      'sleep 10',
      'kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock',
      'stop kubelet',
      call('join'),
    ])
  })

  test('an init goes on with its certificates, and no preflight check trips over them', async () => {
    await boot('init')
    await node.write('/var/kubeadm-fails', 'error execution phase wait-control-plane: timed out\n')
    await node.write('/var/kubeadm-leaves', '')
    const { calls } = await callKubeadm(node)
    const flags = ' --skip-token-print --upload-certs --skip-certificate-key-print'
    expect(calls).toEqual([
      call('init') + flags,
      'sleep 10',
      `${call('init')}${flags} --ignore-preflight-errors=${madeByInit.join(',')}`,
    ])
    // The CA that its first attempt made signs the certificate of the next.
    const verify =
      'openssl verify -CAfile /etc/kubernetes/pki/ca.crt <(sed -n "s/.*client-certificate-data: //p" "$0" | base64 -d)'
    const { stdout } = await node.enter('/bin/bash', '-c', verify, '/etc/kubernetes/kubelet.conf')
    expect(stdout).toMatch(/: OK$/)
  })

  test('the CA of the drive is no leftover, and a port that somebody else has is not overlooked', async () => {
    await boot('init')
    await node.write('/etc/kubernetes/pki/ca.crt', etcd.ca)
    await node.write('/etc/kubernetes/pki/ca.key', etcd.caKey)
    await node.write('/var/kubeadm-fails', 'error execution phase preflight: no answer\n')
    const { calls } = await callKubeadm(node)
    expect(calls.at(-1)).not.toContain('--ignore-preflight-errors')
  })

  test.each([
    ['kube-apiserver', madeByInit],
    ['kube-controller', [apiServerManifest, 'Port-10250']],
    ['python3', [apiServerManifest, 'Port-10250']],
  ])('a port that %s has is ignored only if it is the API server', async (name, ignored) => {
    await boot('init')
    await node.write('/var/kubeadm-fails', 'error execution phase wait-control-plane: timed out\n')
    await node.write('/var/kubeadm-leaves', '')
    await node.write('/var/calls', '')
    const listener = `import ctypes, socket, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
server = socket.create_server(("", 6443))
time.sleep(60)`
    const script =
      'python3 -c "$0" "$1" & until ss -Hltn | grep -q 6443; do :; done; /usr/lib/seeder/kubeadm; kill %1'
    await node.enter('/bin/bash', '-c', script, listener, name)
    const last = (await node.read('/var/calls'))?.trim().split('\n').at(-1)
    expect(last).toMatch(new RegExp(`--ignore-preflight-errors=${ignored.join(',')}$`))
  })

  test('without a certificate key nothing is uploaded', async () => {
    node = await makeKubernetesNode(etcd, 'init')
    await node.write(files.nodeEnv, nodeEnvs.init.replace(/CERTIFICATE_KEY=.*\n/, ''))
    await node.boot()
    expect((await callKubeadm(node)).calls).toEqual([`${call('init')} --skip-token-print`])
  })
})

describe('the power fails while kubeadm is at work', () => {
  test.each([
    ['joinWorker', 'join', 'kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock'],
    ['init', 'init', undefined],
  ] as const)('%s is taken up again', async (env, action, reset) => {
    await boot(env)
    await node.write('/var/power-fails', '')
    expect((await callKubeadm(node)).exitCode).not.toBe(0)
    expect(await node.read(files.begun)).toBe(`${action}\n`)
    expect(await node.read(files.done)).toBeUndefined()
    expect(await node.read('/etc/kubernetes/kubelet.conf')).toBeDefined()

    const { status, calls } = await bootAgain(env)
    expect(status.state).toBe('ready')
    expect(calls.at(-1)).toBe('--no-block restart seeder-kubeadm.service')
    const second = await callKubeadm(node)
    expect(second.exitCode).toBe(0)
    expect(second.calls).toHaveLength(reset ? 3 : 1)
    if (reset) expect(second.calls.slice(0, 2)).toEqual([reset, 'stop kubelet'])
    else expect(second.calls[0]).toContain('--ignore-preflight-errors=')
    expect(await node.read(files.done)).toContain(` ${action} `)
    expect(await node.read(files.nodeEnv)).not.toContain(token)
  })

  test('a node that began to init does not join afterwards', async () => {
    await boot('init')
    await node.write('/var/power-fails', '')
    await callKubeadm(node)
    await node.write(files.nodeEnv, nodeEnvs.joinControlPlane)
    const { status } = await node.boot()
    expect(status).toMatchObject({
      state: 'failed',
      reason: 'BOOTSTRAP: is join, but this node has begun to init; make a new clone',
    })
  })
})

test('a member does not change its role', async () => {
  await boot('joinWorker')
  await callKubeadm(node)
  await node.write(files.nodeEnv, nodeEnvs.joinControlPlane)
  const { status, calls } = await node.boot()
  expect(status).toMatchObject({
    state: 'failed',
    reason: 'NODE_ROLE: is control-plane, but this node is a worker of its cluster already; make a new clone',
  })
  expect(calls).toEqual([])
  expect(await node.read(files.firewall)).toBe(firewallOf('worker'))
})

test('a node that somebody made a member by hand is left alone', async () => {
  node = await makeKubernetesNode(etcd, 'joinWorker')
  await node.write('/etc/kubernetes/kubelet.conf', '')
  const { console, calls } = await node.boot()
  expect(console.at(-1)).toBe(
    'seeder-first-boot: ready: worker, a member of a cluster, which Seeder did not make it: there is /etc/kubernetes/kubelet.conf',
  )
  expect(calls).toEqual([])
  expect(await node.read(files.nodeEnv)).not.toContain(token)
})
