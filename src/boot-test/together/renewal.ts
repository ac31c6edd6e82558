import { expect } from '../checks.ts'
import { awaitReadyPods, connectApi, retry } from './cluster.ts'
import type { Patience } from './founding.ts'
import type { TogetherTestBed } from './test-bed.ts'

// kubeadm's certificates live for 365 days: with more than that, all of them are due.
const DAYS = '400'
const CERTIFICATE = '/etc/kubernetes/pki/apiserver.crt'
const STATIC_PODS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']

/** Renews all certificates of the control plane that kubeadm made, and waits until the cluster works with them. */
export async function checkRenewed(bed: TogetherTestBed, patience: Patience): Promise<string> {
  const { clone, machine } = bed.controlPlane
  const { agent } = clone
  const before = await awaitReadyPods(await connectApi(bed, bed.controlPlane), 'kube-system', patience)
  const begun = () => agent.output(['/usr/bin/openssl', 'x509', '-noout', '-startdate', '-in', CERTIFICATE])
  const old = await begun()
  const { stdout, stderr } = await agent.exec(['/usr/lib/seeder/certificates', DAYS], { timeoutMs: patience })
  const last = stdout.trim().split('\n').at(-1) || stderr.trim().split('\n').at(-1) || 'it printed nothing'
  expect(/^valid until \d{4}-\d\d-\d\d, then \S+ expires$/.test(last), last)
  expect((await begun()) !== old, `${CERTIFICATE} is still the old one`)

  // With the administrator's new certificate.
  await retry(patience, async () => {
    const api = await connectApi(bed, bed.controlPlane)
    const after = await awaitReadyPods(api, 'kube-system', 0)
    for (const name of STATIC_PODS) {
      const starts = [before, after].map((pods) => startsOf(pods, `${name}-${machine.hostname}`))
      expect((starts[1] ?? 0) > (starts[0] ?? 0), `${name} was not restarted`)
    }
  })
  return `${last}; ${STATIC_PODS.join(', ')} run with the new ones`
}

function startsOf(pods: Awaited<ReturnType<typeof awaitReadyPods>>, name: string): number {
  const found = pods.find(({ metadata }) => metadata.name === name)
  return found?.status.containerStatuses.reduce((sum, { restartCount }) => sum + restartCount, 0) ?? 0
}
