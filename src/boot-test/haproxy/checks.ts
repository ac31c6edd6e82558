import type { CheckPlan } from '../checks.ts'
import { driftChecks, driftNamedChecks } from '../drift-checks.ts'
import { firewallLostChecks } from '../firewall-lost.ts'
import { imageChecks } from '../image-checks.ts'
import { routeChecks } from '../routes.ts'

const roleChecks = [
  { name: 'round-robin', group: 'role', title: 'connections go to every worker in turn' },
  { name: 'worker-lost', group: 'role', title: 'a dead worker leaves within its check time' },
  { name: 'worker-returns', group: 'role', title: 'and returns when it is back' },
  { name: 'api', group: 'role', title: 'the Kubernetes API is served on 6443' },
  {
    name: 'api-wrong-certificate',
    group: 'role',
    title: 'an API server with a wrong certificate is never used',
  },
  { name: 'ports', group: 'role', title: 'no port answers that the platform file does not open' },
  { name: 'login', group: 'role', title: 'the operator logs in with a key, and nothing else is accepted' },
  { name: 'bad-value', group: 'pair', title: 'a bad value is named on the console and to the agent' },
  { name: 'bad-value-reachable', group: 'pair', title: 'and the machine stays reachable' },
  { name: 'shutdown', group: 'pair', title: 'powers off when Proxmox requests it' },
  { name: 'corrected', group: 'pair', title: 'serves once the value is corrected' },
  { name: 'identity', group: 'pair', title: 'two clones share no identity' },
  { name: 'vip', group: 'pair', title: 'the VIP is answered by the first of the pair' },
  { name: 'failover', group: 'pair', title: 'and by the second when the first one’s VM is killed' },
  { name: 'readdressed', group: 'pair', title: 'an edited address works and keeps the ssh host keys' },
] as const satisfies readonly CheckPlan[]

export const haproxyChecks = [
  ...imageChecks,
  ...routeChecks,
  ...firewallLostChecks,
  ...driftChecks,
  ...driftNamedChecks,
  ...roleChecks,
]
export type HaproxyCheck = (typeof haproxyChecks)[number]['name']
