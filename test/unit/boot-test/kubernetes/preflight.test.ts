import { expect, test } from 'vitest'
import { exposedPorts, listeningPorts, parseAttempts } from '../../../../src/boot-test/kubernetes/ports.ts'
import {
  type PreflightCheck,
  preflightChecks,
  preflightFindings,
  prerequisites,
} from '../../../../src/boot-test/kubernetes/preflight.ts'
import { checkContainerdSettings } from '../../../../src/boot-test/kubernetes/runtime-checks.ts'

function check(name: PreflightCheck, output: string): string {
  const found = prerequisites.find((prerequisite) => prerequisite.name === name)
  if (!found) throw new Error(`no ${name}`)
  return found.check(output.trim())
}

const listening = `LISTEN 0 4096 127.0.0.1:10248 0.0.0.0:*
LISTEN 0 128 0.0.0.0:22 0.0.0.0:*
LISTEN 0 128 [::]:22 [::]:*
LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*
LISTEN 0 4096 10.0.0.75:10250 0.0.0.0:*
`

test('each prerequisite has its own check in the report', () => {
  expect(new Set(preflightChecks.map(({ name }) => name)).size).toBe(prerequisites.length)
  expect(preflightChecks.every(({ group }) => group === 'preflight')).toBe(true)
})

test('reads the errors and warnings of kubeadm’s preflight', () => {
  const output = `[preflight] Running pre-flight checks
\t[WARNING Hostname]: hostname "cp1" could not be reached
[preflight] Some fatal errors occurred:
\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2
error: error execution phase preflight
`
  expect(preflightFindings(output)).toEqual([
    { level: 'WARNING', name: 'Hostname', text: 'hostname "cp1" could not be reached' },
    { level: 'ERROR', name: 'NumCPU', text: 'the number of available CPUs 1 is less than the required 2' },
  ])
})

test('finds what nodes need beside kubeadm', () => {
  expect(() => check('preflight-kubelet', 'disabled\ninactive')).toThrow('it is disabled')
  expect(() => check('preflight-kubelet', 'enabled\nactivating')).toThrow('activating before')
  const files = (mode: string) => `644 root /a/etcd-ca.crt\n644 root /a/c.crt\n${mode} root /a/c.key`
  expect(check('preflight-etcd-files', files('600'))).toContain('600 root')
  expect(() => check('preflight-etcd-files', files('644'))).toThrow('the key is 644')
  expect(() => check('preflight-bridges', '1\n0')).toThrow('it is 1, 0')
  expect(check('preflight-reverse-paths', 'all/rp_filter:2\neth0/rp_filter:1')).toBe('rp_filter 2 for all')
  expect(() => check('preflight-reverse-paths', 'all/rp_filter:0\neth0/rp_filter:1')).toThrow(
    'strictly: eth0',
  )
  expect(() => check('preflight-reverse-paths', 'all/rp_filter:1\neth0/rp_filter:0')).toThrow('strictly')
  expect(check('preflight-versions', 'v1.37.1\nKubernetes v1.37.1\nClient Version: v1.37.1')).toContain(
    'v1.37.1',
  )
  expect(() => check('preflight-versions', 'v1.37.1\nKubernetes v1.36.0\nx')).toThrow('the kubelet says')
})

test('reads the ports that listen, and those that other machines can reach', () => {
  expect(listeningPorts(listening)).toEqual([10248, 22, 22, 53, 10250])
  expect(exposedPorts(listening)).toEqual([22, 10250])
  expect(listeningPorts('')).toEqual([])
})

test('reads the results of a clone’s attempts to connect', () => {
  expect([...parseAttempts('22 0\n2379 124\n10250 1\n\nnoise\n')]).toEqual([
    [22, 'open'],
    [2379, 'silent'],
    [10250, 'refused'],
  ])
})

test('containerd’s settings are those that the kubelet needs', () => {
  const dump = `version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'registry.k8s.io/pause:3.10.2'
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/opt/cni/bin']
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = true
`
  expect(checkContainerdSettings(dump)).toContain('pause:3.10.2')
  expect(() => checkContainerdSettings(dump.replace('version = 3', 'version = 2'))).toThrow('not version 3')
  expect(() => checkContainerdSettings(dump.replace('= true', '= false'))).toThrow('SystemdCgroup')
  expect(() => checkContainerdSettings(dump.replace(/sandbox.*/, ''))).toThrow('not set')
  expect(() => checkContainerdSettings(dump.replace('/opt', '/usr/lib'))).toThrow('/opt/cni/bin')
})
