import { expect, test } from 'vitest'
import { exposedPorts, listeningPorts } from '../../../../src/boot-test/kubernetes/listening.ts'
import { parseProbes } from '../../../../src/boot-test/kubernetes/node-ports.ts'
import {
  type PreflightCheck,
  preflightChecks,
  prerequisites,
} from '../../../../src/boot-test/kubernetes/preflight.ts'
import { judgeContainerdSettings } from '../../../../src/boot-test/kubernetes/runtime-checks.ts'
import { loadPlatform } from '../../../../src/platform/load.ts'

const platform = await loadPlatform('platform.yaml')

function judge(name: PreflightCheck, output: string, accelerator: 'kvm' | 'tcg' = 'kvm'): string {
  const found = prerequisites.find((one) => one.name === name)
  if (!found) throw new Error(`no ${name}`)
  return found.judge(output, { platform, accelerator })
}

const listening = `LISTEN 0 4096 127.0.0.1:10248 0.0.0.0:*
LISTEN 0 128 0.0.0.0:22 0.0.0.0:*
LISTEN 0 128 [::]:22 [::]:*
LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*
LISTEN 0 4096 10.0.0.75:10250 0.0.0.0:*
`

test('each prerequisite has a check of its own in the report', () => {
  expect(new Set(preflightChecks.map(({ name }) => name)).size).toBe(prerequisites.length)
  expect(preflightChecks.every(({ group }) => group === 'preflight')).toBe(true)
})

test('processors are the guest’s, or the platform’s where an emulated clone has but one', () => {
  expect(judge('preflight-processors', '2\n')).toBe('2; 2 by the platform file')
  expect(() => judge('preflight-processors', '1\n')).toThrow('it has 1')
  expect(judge('preflight-processors', '1\n', 'tcg')).toBe('2 by the platform file; an emulated clone has 1')
  const small = structuredClone(platform)
  small.roles['control-plane'].cores = 1
  const processors = prerequisites.find(({ name }) => name === 'preflight-processors')
  expect(() => processors?.judge('1', { platform: small, accelerator: 'tcg' })).toThrow('a control plane 1')
})

test('what stops kubeadm is found', () => {
  expect(judge('preflight-memory', '1967')).toContain('1967 MiB')
  expect(() => judge('preflight-memory', '1600')).toThrow('1600 MiB')
  expect(() => judge('preflight-swap', '/dev/vda2 partition 1 0 -2')).toThrow('swaps to /dev/vda2')
  expect(judge('preflight-cgroups', 'cgroup2fs\ncpuset cpu io memory hugetlb pids rdma')).toContain(
    'cgroup2fs',
  )
  expect(() => judge('preflight-cgroups', 'tmpfs\n')).toThrow('is tmpfs')
  expect(() => judge('preflight-cgroups', 'cgroup2fs\ncpu io')).toThrow('without cpuset, memory, pids')
  expect(() => judge('preflight-forwarding', '0')).toThrow('ip_forward is 0')
  expect(() => judge('preflight-ports', listening)).toThrow('taken: 10250')
  expect(judge('preflight-ports', listening.replace('10250', '9100'))).toContain('6443')
  expect(() => judge('preflight-manifests', '/etc/kubernetes/manifests/a.yaml')).toThrow('a.yaml')
  expect(() => judge('preflight-kubeconfigs', '/etc/kubernetes/kubelet.conf')).toThrow('kubelet.conf')
  expect(() => judge('preflight-tools', 'iptables\nnsenter')).toThrow('not there: iptables, nsenter')
  expect(() => judge('preflight-kubelet', 'disabled\ninactive')).toThrow('it is disabled')
  expect(() => judge('preflight-kubelet', 'enabled\nactivating')).toThrow('activating before')
  expect(() => judge('preflight-hostname', '')).toThrow('it cannot')
})

test('what nodes need beside that is found', () => {
  const files = (mode: string) => `644 root /a/etcd-ca.crt\n644 root /a/c.crt\n${mode} root /a/c.key`
  expect(judge('preflight-etcd-files', files('600'))).toContain('600 root')
  expect(() => judge('preflight-etcd-files', files('644'))).toThrow('the key is 644')
  expect(() => judge('preflight-bridges', '1\n0')).toThrow('it is 1, 0')
  expect(judge('preflight-reverse-paths', 'all/rp_filter:2\neth0/rp_filter:1')).toBe('rp_filter 2 for all')
  expect(() => judge('preflight-reverse-paths', 'all/rp_filter:0\neth0/rp_filter:1')).toThrow(
    'strictly: eth0',
  )
  expect(() => judge('preflight-reverse-paths', 'all/rp_filter:1\neth0/rp_filter:0')).toThrow('strictly')
  expect(judge('preflight-versions', 'v1.37.1\nKubernetes v1.37.1\nClient Version: v1.37.1')).toContain(
    'v1.37.1',
  )
  expect(() => judge('preflight-versions', 'v1.37.1\nKubernetes v1.36.0\nx')).toThrow('the kubelet says')
})

test('ports that listen, and those that others can reach', () => {
  expect(listeningPorts(listening)).toEqual([10248, 22, 22, 53, 10250])
  expect(exposedPorts(listening)).toEqual([22, 10250])
  expect(listeningPorts('')).toEqual([])
})

test('what a clone’s attempts to connect came to', () => {
  expect([...parseProbes('22 0\n2379 124\n10250 1\n\nnoise\n')]).toEqual([
    [22, 'open'],
    [2379, 'silent'],
    [10250, 'refused'],
  ])
})

test('containerd’s settings are the kubelet’s', () => {
  const dump = `version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'registry.k8s.io/pause:3.10.2'
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/opt/cni/bin']
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = true
`
  expect(judgeContainerdSettings(dump)).toContain('pause:3.10.2')
  expect(() => judgeContainerdSettings(dump.replace('version = 3', 'version = 2'))).toThrow('not version 3')
  expect(() => judgeContainerdSettings(dump.replace('= true', '= false'))).toThrow('SystemdCgroup')
  expect(() => judgeContainerdSettings(dump.replace(/sandbox.*/, ''))).toThrow('not set')
  expect(() => judgeContainerdSettings(dump.replace('/opt', '/usr/lib'))).toThrow('/opt/cni/bin')
})
