import type { CheckPlan } from '../checks.ts'
import { driftChecks } from '../drift-checks.ts'
import { imageChecks } from '../image-checks.ts'
import { routeChecks } from '../routes.ts'

const roleChecks = [
  { name: 'cluster', group: 'role', title: 'three clones form a cluster over mTLS' },
  {
    name: 'certificate-required',
    group: 'role',
    title: 'a client or a peer without a certificate is refused',
  },
  { name: 'ports', group: 'role', title: 'no port answers that the platform file does not open' },
  { name: 'login', group: 'role', title: 'the operator logs in with a key, and nothing else is accepted' },
  { name: 'health', group: 'role', title: 'the operator’s command says how the cluster is' },
  { name: 'data-disk', group: 'role', title: 'the data is on a disk of its own, found by its label' },
  { name: 'snapshot', group: 'role', title: 'a snapshot is taken and verified' },
  { name: 'idempotent', group: 'role', title: 'first boot, run again, leaves a member alone' },
  { name: 'identity', group: 'cluster', title: 'three clones share no identity' },
  {
    name: 'no-second-cluster',
    group: 'cluster',
    title: 'a clone that would found a cluster where one runs is refused',
  },
  { name: 'reachable', group: 'cluster', title: 'and the machine stays reachable' },
  { name: 'bad-values', group: 'cluster', title: 'every bad value and file is refused and named' },
  { name: 'leader-lost', group: 'cluster', title: 'writes go on when the leader’s VM is killed' },
  { name: 'replacement', group: 'cluster', title: 'a clone with a new name takes the dead member’s place' },
  { name: 'rolling', group: 'cluster', title: 'all members are replaced, one at a time, under a writer' },
  { name: 'nothing-lost', group: 'cluster', title: 'nothing that was ever acknowledged is lost' },
  { name: 'shutdown', group: 'cluster', title: 'powers off when Proxmox requests it' },
] as const satisfies readonly CheckPlan[]

export const etcdChecks = [...imageChecks, ...routeChecks, ...driftChecks, ...roleChecks]
export type EtcdCheck = (typeof etcdChecks)[number]['name']
