import { checkForm, type NodeValues, type ValueProblem } from '../../guest/node-env.ts'
import { kubernetesRoles, type RoleName } from '../../platform/schema.ts'
import { checkNtp } from './checks.ts'
import { checkEtcdValues, etcdKeys } from './etcd.ts'
import { checkHaproxyValues, haproxyKeys } from './haproxy.ts'
import { checkKubernetesValues, kubernetesKeys } from './kubernetes.ts'

/** Values that are never shown, and not kept either. */
export const secretKeys: readonly string[] = ['JOIN_TOKEN', 'CERTIFICATE_KEY']

/** The keys of a role. */
export function keysOf(role: RoleName): readonly string[] {
  const own = {
    haproxy: haproxyKeys,
    etcd: etcdKeys,
    'control-plane': kubernetesKeys,
    worker: kubernetesKeys,
  }
  return [...own[role], 'NTP_SERVERS']
}

/** What first boot would have against these values; whether the machine has the addresses it finds out itself. */
export function checkValues(role: RoleName, values: NodeValues, hostname: string): ValueProblem[] {
  const form = checkForm(values, keysOf(role))
  if (form.length > 0) return form
  const own = () => {
    if (kubernetesRoles.includes(role)) return checkKubernetesValues(values)
    return role === 'etcd' ? checkEtcdValues(values, hostname) : checkHaproxyValues(values)
  }
  return [...checkNtp(values), ...own()]
}
