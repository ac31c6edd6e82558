import type { CheckPlan } from '../checks.ts'
import { driftChecks, driftNamedChecks } from '../drift-checks.ts'
import { firewallLostChecks } from '../firewall-lost.ts'
import { imageChecks } from '../image-checks.ts'
import { routeChecks, serviceRouteChecks } from '../routes.ts'
import { preflightChecks } from './preflight.ts'

const roleChecks = [
  {
    name: 'init-called',
    group: 'kubeadm',
    title:
      'the control plane passes every check of kubeadm’s preflight, except that of etcd, which is not there',
  },
  {
    name: 'join-called',
    group: 'kubeadm',
    title: 'the worker passes every check of kubeadm’s preflight, and looks for the cluster',
  },
  {
    name: 'configuration',
    group: 'kubeadm',
    title: 'kubeadm’s configuration is valid and as node.env and the platform file say',
  },
  { name: 'secrets', group: 'kubeadm', title: 'nobody but root reads the secrets, and they go once used' },
  { name: 'idempotent', group: 'kubeadm', title: 'first boot, run again, leaves a node alone' },
  { name: 'containerd', group: 'runtime', title: 'containerd is as the kubelet needs it' },
  { name: 'container', group: 'runtime', title: 'a container runs' },
  { name: 'worker-firewall', group: 'role', title: 'the worker has the worker’s firewall' },
  { name: 'ports', group: 'role', title: 'the firewall lets through exactly the matrix' },
  { name: 'ports-from-clones', group: 'role', title: 'also from other nodes' },
  { name: 'login', group: 'role', title: 'the operator logs in with a key, and nothing else is accepted' },
  { name: 'identity', group: 'role', title: 'three clones share no identity' },
  { name: 'bad-value', group: 'role', title: 'a bad value is named on the console and to the agent' },
  { name: 'reachable', group: 'role', title: 'and the machine stays reachable' },
  { name: 'bad-values', group: 'role', title: 'every bad value and file is refused and named' },
  { name: 'prepared', group: 'role', title: 'without a bootstrap it is prepared, and kubeadm is not called' },
  { name: 'shutdown', group: 'role', title: 'powers off when Proxmox requests it' },
] as const satisfies readonly CheckPlan[]

export const kubernetesChecks = [
  ...imageChecks,
  ...routeChecks,
  ...firewallLostChecks,
  ...driftChecks,
  ...driftNamedChecks,
  ...roleChecks,
  ...serviceRouteChecks,
  ...preflightChecks,
]
export type KubernetesCheck = (typeof kubernetesChecks)[number]['name']
