import type { GuestAgent } from '../../vm/agent.ts'
import { type CheckPlan, expect } from '../checks.ts'

/** A requirement of a part of Kubernetes that kubeadm's own preflight does not check. */
interface Prerequisite extends CheckPlan {
  /** Runs in the guest. */
  readonly script: string
  /**
   * The detail of the check, from the trimmed output.
   * @throws SeederError when the output does not fulfil the requirement
   */
  check(output: string): string
}

const GROUP = 'preflight'
/** For a script that prints the lines with a problem. */
function nothing(fine: string, problem = 'not there'): (output: string) => string {
  return (output) => {
    expect(output === '', `${problem}: ${output.split('\n').join(', ')}`)
    return fine
  }
}

/** What the kubelet, containerd and Weave Net need on a node that is prepared and not bootstrapped. */
export const prerequisites = [
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
): Promise<string> {
  return check((await agent.shell(script)).trim())
}

/** An error or warning of kubeadm's preflight: the name of its check, and what it says. */
export interface PreflightFinding {
  readonly level: 'ERROR' | 'WARNING'
  readonly name: string
  readonly text: string
}

/** Parses kubeadm's output: `[WARNING Swap]: …`. */
export function preflightFindings(output: string): PreflightFinding[] {
  return [...output.matchAll(/^\s*\[(ERROR|WARNING) ([^\]]+)\]: (.*)$/gm)].map(
    ([, level, name = '', text = '']) => ({ level: level === 'ERROR' ? 'ERROR' : 'WARNING', name, text }),
  )
}
