import type { Platform } from '../../platform/schema.ts'
import type { GuestAgent } from '../../vm/agent.ts'
import type { Accelerator } from '../../vm/emulator.ts'
import { type CheckPlan, expect } from '../checks.ts'
import { listeningPorts } from './ports.ts'

/** What a prerequisite depends on beside the output of the guest. */
export interface PreflightContext {
  readonly platform: Platform
  readonly accelerator: Accelerator
}

/** A requirement of kubeadm's preflight, or of another part of Kubernetes, on a control plane. */
interface Prerequisite extends CheckPlan {
  /** Runs in the guest. */
  readonly script: string
  /**
   * The detail of the check, from the trimmed output.
   * @throws SeederError when the output does not fulfil the requirement
   */
  check(output: string, context: PreflightContext): string
}

const GROUP = 'preflight'
/** The ports of a control plane, whose etcd is on other machines. */
const ownPorts = [6443, 10250, 10257, 10259]
// kubeadm's own minimum (1700 MB of 2^20 bytes) and number of processors for a control plane.
const MINIMUM_MEMORY_MIB = 1700
const MINIMUM_PROCESSORS = 2

/** For a script that prints the lines with a problem. */
function nothing(fine: string, problem = 'not there'): (output: string) => string {
  return (output) => {
    expect(output === '', `${problem}: ${output.split('\n').join(', ')}`)
    return fine
  }
}

const missingTools = (tools: string) =>
  `for tool in ${tools}; do command -v "$tool" >/dev/null || echo "$tool"; done`
const present = (files: string) =>
  `shopt -s nullglob; for file in ${files}; do [[ -e $file ]] && echo "$file"; done; true`

/**
 * The checks of kubeadm 1.37 (checks.go and checks_linux.go), both errors and warnings, and then the requirements of the
 * kubelet, containerd and Weave Net. For a node that is prepared and not bootstrapped.
 */
export const prerequisites = [
  {
    name: 'preflight-processors',
    title: 'two processors',
    script: 'nproc',
    check: (output, { platform, accelerator }) => {
      const { cores } = platform.roles['control-plane']
      expect(cores >= MINIMUM_PROCESSORS, `the platform file gives a control plane ${cores}`)
      if (accelerator === 'tcg') return `${cores} by the platform file; an emulated clone has ${output}`
      expect(Number(output) >= MINIMUM_PROCESSORS, `it has ${output}`)
      return `${output}; ${cores} by the platform file`
    },
  },
  {
    name: 'preflight-memory',
    title: '1700 MiB of memory',
    script: `awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo`,
    check: (output, { platform }) => {
      const { memory } = platform.roles['control-plane']
      expect(memory >= MINIMUM_MEMORY_MIB, `the platform file gives a control plane ${memory} MiB`)
      expect(Number(output) >= MINIMUM_MEMORY_MIB, `it has ${output} MiB`)
      return `${output} MiB; ${memory} by the platform file`
    },
  },
  {
    name: 'preflight-swap',
    title: 'no swap',
    script: 'tail -n +2 /proc/swaps',
    check: nothing('off', 'it swaps to'),
  },
  {
    name: 'preflight-cgroups',
    title: 'cgroup v2 with the controllers Kubernetes needs',
    script: 'stat --file-system --format=%T /sys/fs/cgroup; cat /sys/fs/cgroup/cgroup.controllers',
    check: (output) => {
      const [kind, list = ''] = output.split('\n')
      expect(kind === 'cgroup2fs', `/sys/fs/cgroup is ${kind}`)
      const missing = ['cpu', 'cpuset', 'io', 'memory', 'pids'].filter(
        (controller) => !list.split(' ').includes(controller),
      )
      expect(missing.length === 0, `without ${missing.join(', ')}`)
      return `${kind}: ${list}`
    },
  },
  {
    name: 'preflight-forwarding',
    title: 'forwards IPv4',
    script: 'cat /proc/sys/net/ipv4/ip_forward',
    check: (output) => {
      expect(output === '1', `net.ipv4.ip_forward is ${output}`)
      return 'net.ipv4.ip_forward = 1'
    },
  },
  {
    name: 'preflight-ports',
    title: 'the control plane’s ports are free',
    script: 'ss --no-header --listening --tcp --numeric',
    check: (output) => {
      const taken = listeningPorts(output).filter((port) => ownPorts.includes(port))
      expect(taken.length === 0, `taken: ${taken.join(', ')}`)
      return `${ownPorts.join(', ')} are free`
    },
  },
  {
    name: 'preflight-manifests',
    title: 'no static pods',
    script: present('/etc/kubernetes/manifests/*'),
    check: nothing('none', 'there are'),
  },
  {
    name: 'preflight-kubeconfigs',
    title: 'no credentials or keys of another cluster',
    script: present('/etc/kubernetes/*.conf /etc/kubernetes/pki/* /var/lib/kubelet/pki/*'),
    check: nothing('none', 'there are'),
  },
  {
    name: 'preflight-tools',
    title: 'the tools without which kubeadm stops',
    script: missingTools('ip iptables mount nsenter'),
    check: nothing('ip, iptables, mount, nsenter'),
  },
  {
    name: 'preflight-warned-tools',
    title: 'the tools that kubeadm, kube-proxy and port forwarding use',
    script: missingTools('conntrack ebtables ethtool socat tc touch crictl'),
    check: nothing('conntrack, ebtables, ethtool, socat, tc, touch, crictl'),
  },
  {
    name: 'preflight-kubelet',
    title: 'the kubelet’s unit is enabled, and waits for kubeadm',
    script: 'systemctl is-enabled kubelet.service || true; systemctl is-active kubelet.service || true',
    check: (output) => {
      const [enabled, active] = output.split('\n')
      expect(enabled === 'enabled', `it is ${enabled}`)
      expect(active === 'inactive', `it is ${active} before there is a configuration`)
      return `${enabled}, ${active}`
    },
  },
  {
    name: 'preflight-hostname',
    title: 'the host name can be resolved',
    script: 'getent ahosts "$(cat /proc/sys/kernel/hostname)" | head -n 1',
    check: (output) => {
      expect(output !== '', 'it cannot')
      return output.replace(/\s+/g, ' ')
    },
  },
  {
    name: 'preflight-etcd-files',
    title: 'the certificates for etcd are there, the key for root only',
    script:
      "stat --format='%a %U %n' /etc/seeder/trust/etcd-ca.crt /etc/seeder/tls/apiserver-etcd-client.crt /etc/seeder/tls/apiserver-etcd-client.key",
    check: (output) => {
      const lines = output.split('\n')
      expect(lines.length === 3, `found ${lines.join('; ')}`)
      const key = lines.find((line) => line.endsWith('.key')) ?? ''
      expect(/^[46]00 root /.test(key), `the key is ${key}`)
      return lines.join('; ')
    },
  },
  {
    name: 'preflight-modules',
    title: 'the kernel modules of containers, kube-proxy and Weave Net',
    script:
      'for module in overlay br_netfilter nf_conntrack openvswitch vxlan xt_set; do [[ -d /sys/module/$module ]] || echo "$module"; done',
    check: nothing('overlay, br_netfilter, nf_conntrack, openvswitch, vxlan, xt_set are loaded'),
  },
  {
    name: 'preflight-bridges',
    title: 'traffic on bridges passes the firewall’s rules',
    script: 'cat /proc/sys/net/bridge/bridge-nf-call-iptables /proc/sys/net/bridge/bridge-nf-call-ip6tables',
    check: (output) => {
      expect(output === '1\n1', `it is ${output.replace('\n', ', ')}`)
      return 'for IPv4 and IPv6'
    },
  },
  {
    name: 'preflight-reverse-paths',
    title: 'answers may leave by another card',
    script: 'cd /proc/sys/net/ipv4/conf && grep --with-filename . */rp_filter',
    check: (output) => {
      const values = new Map(
        output
          .trim()
          .split('\n')
          .map((line) => [line.split('/')[0] ?? '', Number(line.split(':')[1])] as const),
      )
      // The kernel takes the higher of the two; 1 is the strict check.
      const strict = [...values].filter(([, value]) => Math.max(value, values.get('all') ?? 0) === 1)
      expect(strict.length === 0, `checked strictly: ${strict.map(([name]) => name).join(', ')}`)
      return `rp_filter ${values.get('all')} for all`
    },
  },
  {
    name: 'preflight-writable',
    title: 'what is written outside /usr can be written',
    script: `for folder in /etc/kubernetes /etc/cni/net.d /opt/cni/bin /var/lib/kubelet/volumeplugins /var/lib/containerd; do
      mkdir -p "$folder" 2>/dev/null && touch "$folder/.test" 2>/dev/null && rm "$folder/.test" || echo "$folder"; done`,
    check: nothing(
      '/etc/kubernetes, /etc/cni/net.d, /opt/cni/bin, the kubelet’s volume plugins, containerd’s data',
    ),
  },
  {
    name: 'preflight-cni',
    title: 'the CNI plugins',
    script:
      'for plugin in bridge host-local loopback portmap; do [[ -x /opt/cni/bin/$plugin ]] || echo "$plugin"; done',
    check: nothing('bridge, host-local, loopback, portmap'),
  },
  {
    name: 'preflight-versions',
    title: 'kubeadm and the kubelet are of one release',
    script: 'kubeadm version -o short; kubelet --version; kubectl version --client | head -n 1',
    check: (output) => {
      const [kubeadm = '', kubelet = '', kubectl = ''] = output.split('\n')
      expect(/^v1\.\d+\.\d+/.test(kubeadm), `kubeadm says "${kubeadm}"`)
      expect(kubelet === `Kubernetes ${kubeadm}`, `kubeadm is ${kubeadm}, the kubelet says "${kubelet}"`)
      expect(kubectl !== '', 'kubectl says nothing')
      return `${kubeadm}; ${kubectl}`
    },
  },
] as const satisfies readonly Omit<Prerequisite, 'group'>[]

export type PreflightCheck = (typeof prerequisites)[number]['name']

/** The prerequisites as checks of a contract. */
export const preflightChecks = prerequisites.map(({ name, title }) => ({ name, group: GROUP, title }))

/** Checks a guest for one prerequisite. */
export async function checkPrerequisite(
  agent: GuestAgent,
  { script, check }: Pick<Prerequisite, 'script' | 'check'>,
  context: PreflightContext,
): Promise<string> {
  return check((await agent.shell(script)).trim(), context)
}
