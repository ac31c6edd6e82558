import type { Platform } from '../../platform/schema.ts'
import type { Accelerator } from '../../vm/accelerator.ts'
import type { GuestAgent } from '../../vm/agent.ts'
import { type CheckPlan, expect } from '../checks.ts'
import { listeningPorts } from './listening.ts'

/** What a prerequisite is judged by, beside what the guest says. */
export interface PreflightContext {
  readonly platform: Platform
  readonly accelerator: Accelerator
}

/** Something that kubeadm's preflight, or a part of Kubernetes after it, asks of a control plane. */
interface Prerequisite extends CheckPlan {
  /** Run in the guest; what it prints is judged. */
  readonly script: string
  /** What was seen; throws when that will not do. */
  judge(output: string, context: PreflightContext): string
}

const group = 'preflight'
/** Ports a control plane has to have free; its etcd is elsewhere. */
const ownPorts = [6443, 10250, 10257, 10259]
// kubeadm's own minimum (1700 MB of 2^20 bytes) and number of processors for a control plane.
const leastMemoryMiB = 1700
const leastProcessors = 2

/** Passes when a script printed nothing, which is how these name what is missing. */
function nothing(fine: string): (output: string) => string {
  return (output) => {
    const words = output.trim().split('\n').join(', ')
    expect(words === '', `not there: ${words}`)
    return fine
  }
}

const missingTools = (tools: string) =>
  `for tool in ${tools}; do command -v "$tool" >/dev/null || echo "$tool"; done`
// Outside of a quoted text: printf leaves no trace of its own in a list of files.
const present = (files: string) =>
  `shopt -s nullglob; for file in ${files}; do [[ -e $file ]] && echo "$file"; done; true`

/**
 * Everything one by one, as kubeadm 1.37's checks.go and checks_linux.go have it (those that stop it and those it
 * warns of), then what the kubelet, containerd and Weave Net need. Made on a node that is prepared and not bootstrapped.
 */
export const prerequisites = [
  {
    name: 'preflight-processors',
    title: 'two processors',
    script: 'nproc',
    judge: (output, { platform, accelerator }) => {
      const { cores } = platform.roles['control-plane']
      expect(cores >= leastProcessors, `the platform file gives a control plane ${cores}`)
      if (accelerator === 'tcg')
        return `${cores} by the platform file; an emulated clone has ${output.trim()}`
      expect(Number(output) >= leastProcessors, `it has ${output.trim()}`)
      return `${output.trim()}; ${cores} by the platform file`
    },
  },
  {
    name: 'preflight-memory',
    title: '1700 MiB of memory',
    script: `awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo`,
    judge: (output, { platform }) => {
      const { memory } = platform.roles['control-plane']
      expect(memory >= leastMemoryMiB, `the platform file gives a control plane ${memory} MiB`)
      expect(Number(output) >= leastMemoryMiB, `it has ${output.trim()} MiB`)
      return `${output.trim()} MiB; ${memory} by the platform file`
    },
  },
  {
    name: 'preflight-swap',
    title: 'no swap',
    script: 'tail -n +2 /proc/swaps',
    judge: (output) => {
      expect(output.trim() === '', `it swaps to ${output.trim()}`)
      return 'off'
    },
  },
  {
    name: 'preflight-cgroups',
    title: 'cgroup v2 with the controllers Kubernetes needs',
    script: 'stat --file-system --format=%T /sys/fs/cgroup; cat /sys/fs/cgroup/cgroup.controllers',
    judge: (output) => {
      const [kind, list = ''] = output.trim().split('\n')
      expect(kind === 'cgroup2fs', `/sys/fs/cgroup is ${kind}`)
      const missing = ['cpu', 'cpuset', 'io', 'memory', 'pids'].filter(
        (one) => !list.split(' ').includes(one),
      )
      expect(missing.length === 0, `without ${missing.join(', ')}`)
      return `${kind}: ${list}`
    },
  },
  {
    name: 'preflight-forwarding',
    title: 'forwards IPv4',
    script: 'cat /proc/sys/net/ipv4/ip_forward',
    judge: (output) => {
      expect(output.trim() === '1', `net.ipv4.ip_forward is ${output.trim()}`)
      return 'net.ipv4.ip_forward = 1'
    },
  },
  {
    name: 'preflight-ports',
    title: 'the control plane’s ports are free',
    script: 'ss --no-header --listening --tcp --numeric',
    judge: (output) => {
      const taken = listeningPorts(output).filter((port) => ownPorts.includes(port))
      expect(taken.length === 0, `taken: ${taken.join(', ')}`)
      return `${ownPorts.join(', ')} are free`
    },
  },
  {
    name: 'preflight-manifests',
    title: 'no static pods',
    script: present('/etc/kubernetes/manifests/*'),
    judge: (output) => {
      expect(output.trim() === '', `there are ${output.trim()}`)
      return 'none'
    },
  },
  {
    name: 'preflight-kubeconfigs',
    title: 'no credentials or keys of another cluster',
    script: present('/etc/kubernetes/*.conf /etc/kubernetes/pki/* /var/lib/kubelet/pki/*'),
    judge: (output) => {
      expect(output.trim() === '', `there are ${output.trim().split('\n').join(', ')}`)
      return 'none'
    },
  },
  {
    name: 'preflight-tools',
    title: 'the tools without which kubeadm stops',
    script: missingTools('ip iptables mount nsenter'),
    judge: nothing('ip, iptables, mount, nsenter'),
  },
  {
    name: 'preflight-warned-tools',
    title: 'the tools that kubeadm, kube-proxy and port forwarding use',
    script: missingTools('conntrack ebtables ethtool socat tc touch crictl'),
    judge: nothing('conntrack, ebtables, ethtool, socat, tc, touch, crictl'),
  },
  {
    name: 'preflight-kubelet',
    title: 'the kubelet’s unit is enabled, and waits for kubeadm',
    script: 'systemctl is-enabled kubelet.service || true; systemctl is-active kubelet.service || true',
    judge: (output) => {
      const [enabled, active] = output.trim().split('\n')
      expect(enabled === 'enabled', `it is ${enabled}`)
      expect(active === 'inactive', `it is ${active} before there is a configuration`)
      return `${enabled}, ${active}`
    },
  },
  {
    name: 'preflight-hostname',
    title: 'the host name can be resolved',
    script: 'getent ahosts "$(cat /proc/sys/kernel/hostname)" | head -n 1',
    judge: (output) => {
      expect(output.trim() !== '', 'it cannot')
      return output.trim().replace(/\s+/g, ' ')
    },
  },
  {
    name: 'preflight-etcd-files',
    title: 'the certificates for etcd are there, the key for root only',
    script:
      "stat --format='%a %U %n' /etc/seeder/trust/etcd-ca.crt /etc/seeder/tls/apiserver-etcd-client.crt /etc/seeder/tls/apiserver-etcd-client.key",
    judge: (output) => {
      const lines = output.trim().split('\n')
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
    judge: nothing('overlay, br_netfilter, nf_conntrack, openvswitch, vxlan, xt_set are loaded'),
  },
  {
    name: 'preflight-bridges',
    title: 'traffic on bridges passes the firewall’s rules',
    script: 'cat /proc/sys/net/bridge/bridge-nf-call-iptables /proc/sys/net/bridge/bridge-nf-call-ip6tables',
    judge: (output) => {
      expect(output.trim() === '1\n1', `it is ${output.trim().replace('\n', ', ')}`)
      return 'for IPv4 and IPv6'
    },
  },
  {
    name: 'preflight-reverse-paths',
    title: 'answers may leave by another card',
    script: 'cd /proc/sys/net/ipv4/conf && grep --with-filename . */rp_filter',
    judge: (output) => {
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
      mkdir -p "$folder" 2>/dev/null && touch "$folder/.proof" 2>/dev/null && rm "$folder/.proof" || echo "$folder"; done`,
    judge: nothing(
      '/etc/kubernetes, /etc/cni/net.d, /opt/cni/bin, the kubelet’s volume plugins, containerd’s data',
    ),
  },
  {
    name: 'preflight-cni',
    title: 'the CNI plugins',
    script:
      'for plugin in bridge host-local loopback portmap; do [[ -x /opt/cni/bin/$plugin ]] || echo "$plugin"; done',
    judge: nothing('bridge, host-local, loopback, portmap'),
  },
  {
    name: 'preflight-versions',
    title: 'kubeadm and the kubelet are of one release',
    script: 'kubeadm version -o short; kubelet --version; kubectl version --client | head -n 1',
    judge: (output) => {
      const [kubeadm = '', kubelet = '', kubectl = ''] = output.trim().split('\n')
      expect(/^v1\.\d+\.\d+/.test(kubeadm), `kubeadm says "${kubeadm}"`)
      expect(kubelet === `Kubernetes ${kubeadm}`, `kubeadm is ${kubeadm}, the kubelet says "${kubelet}"`)
      expect(kubectl !== '', 'kubectl says nothing')
      return `${kubeadm}; ${kubectl}`
    },
  },
] as const satisfies readonly Omit<Prerequisite, 'group'>[]

export type PreflightCheck = (typeof prerequisites)[number]['name']

/** The prerequisites as checks of a contract. */
export const preflightChecks = prerequisites.map(({ name, title }) => ({ name, group, title }))

/** Asks a guest about one prerequisite. */
export async function checkPrerequisite(
  agent: GuestAgent,
  { script, judge }: Pick<Prerequisite, 'script' | 'judge'>,
  context: PreflightContext,
): Promise<string> {
  return judge(await agent.shell(script), context)
}
