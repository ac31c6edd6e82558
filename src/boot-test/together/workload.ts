import { expect, type Recorder } from '../checks.ts'
import { containerImage } from '../kubernetes/container-image.ts'
import { get } from '../probe.ts'
import { addressIn, probeIn } from '../site.ts'
import type { PlacedClone } from '../test-bed.ts'
import {
  type ApiClient,
  type ClusterNode,
  type ClusterPod,
  isReady,
  podSchema,
  serviceSchema,
} from './api-client.ts'
import type { TogetherCheck } from './checks.ts'
import { awaitMembers, awaitReadyNodes, awaitReadyPods, connectApi, retry } from './cluster.ts'
import { apiVip, NODE_PORT } from './configuration.ts'
import type { Patience } from './founding.ts'
import { connectPods } from './pod-network.ts'
import { readAnswer, requestPod, SERVING_LINE, WEB_PORT, webPod, webService } from './pods.ts'
import type { TogetherTestBed } from './test-bed.ts'

const DEFAULT = '/api/v1/namespaces/default'

/** Tests what the cluster is for: pods, services and names, and what an operator does with kubectl. */
export async function testWorkload(
  checks: Recorder<TogetherCheck>,
  bed: TogetherTestBed,
  patience: Patience,
): Promise<void> {
  const { controlPlane, worker, platform, progress } = bed
  const nodes = [controlPlane, worker]
  const api = await connectApi(bed, controlPlane)
  progress.phase('pods get a network')
  await checks.require('nodes', async () => {
    const names = nodes.map(({ machine }) => machine.hostname)
    const members = await awaitMembers(api, names, patience)
    const zone = apiVip(platform).zone
    const ranges = nodes.map((node) => {
      const found = members.find(({ metadata }) => metadata.name === node.machine.hostname)
      return { node, address: addressIn(node.machine, zone), cidr: found?.spec.podCIDR ?? '' }
    })
    await connectPods(ranges, bridgeName(bed), platform.cluster.pods.cidr)
    return describeNodes(await awaitReadyNodes(api, patience), bed)
  })
  await checks.require('system-pods', async () => {
    const pods = await awaitReadyPods(api, 'kube-system', patience)
    return pods
      .map(({ metadata }) => metadata.name)
      .sort()
      .join(', ')
  })
  await checks.run('sandbox', () => checkImages(nodes))

  progress.phase('pods run')
  await checks.require('pods', async () => {
    for (const node of nodes) await importImage(node)
    await api.create(`${DEFAULT}/pods`, webPod('web'))
    await api.create(`${DEFAULT}/pods`, webPod('web-cp', controlPlane.machine.hostname))
    await api.create(`${DEFAULT}/services`, webService('web', NODE_PORT))
    const found = await awaitReadyPods(api, 'default', patience)
    const where = found.map(({ metadata, spec }) => `${metadata.name} on ${spec.nodeName}`).sort()
    const wanted = [`web on ${worker.machine.hostname}`, `web-cp on ${controlPlane.machine.hostname}`]
    expect(where.join() === wanted.join(), `found ${where.join(', ')}`)
    return where.join(', ')
  })
  await testPods(checks, bed, api)
}

async function testPods(
  checks: Recorder<TogetherCheck>,
  bed: TogetherTestBed,
  api: ApiClient,
): Promise<void> {
  const { controlPlane, worker } = bed
  const addressOf = async (name: string) => {
    const pod: ClusterPod = await api.get(`${DEFAULT}/pods/${name}`, podSchema)
    expect(pod.status.podIP !== undefined && isReady(pod), `${name} is not ready`)
    return pod.status.podIP
  }
  const [web, own] = [await addressOf('web'), await addressOf('web-cp')]
  const { spec } = await api.get(`${DEFAULT}/services/web`, serviceSchema)
  const viaPod = (query: Record<string, string>) =>
    retry(SETTLE_MS, () => requestPod(controlPlane, own, query))
  await checks.run('pod-network', async () => {
    const there = await viaPod({ get: `http://${web}:${WEB_PORT}/` })
    const back = await retry(SETTLE_MS, () => requestPod(worker, web, { get: `http://${own}:${WEB_PORT}/` }))
    expect(
      there.found[0] === 'web' && back.found[0] === 'web-cp',
      `${there.found} and ${back.found} answered`,
    )
    return `${own} of ${controlPlane.machine.hostname} and ${web} of ${worker.machine.hostname}, both ways`
  })
  await checks.run('cluster-ip', async () => {
    const { found } = await viaPod({ get: `http://${spec.clusterIP}/` })
    expect(found[0] === 'web', `${found} answered`)
    return `${spec.clusterIP} is ${found}`
  })
  await checks.run('dns', async () => {
    const { found } = await viaPod({ resolve: 'web.default.svc.cluster.local' })
    expect(found.join() === spec.clusterIP, `it is ${found.join(', ')}, and not ${spec.clusterIP}`)
    return `web.default.svc.cluster.local is ${found}`
  })
  await checks.run('api-from-pod', async () => {
    const { found } = await viaPod({ connect: 'kubernetes.default.svc.cluster.local:443' })
    return `connected to ${found}`
  })
  await checks.run('node-port', () => checkNodePort(bed))
  await checks.run('logs', () => checkKubectl(controlPlane))
}

// kube-proxy writes its rules, and HAProxy checks a node, a few seconds after a pod is ready.
const SETTLE_MS = 60_000

/** A client at the edge uses the load balancer's VIP there, or the API's where there is no other. */
async function checkNodePort({ site, platform }: TogetherTestBed): Promise<string> {
  const api = apiVip(platform)
  const vips = Object.values(platform.vips).filter(({ role }) => role === 'haproxy')
  const vip = vips.find(({ zone }) => zone !== api.zone) ?? api
  const from = probeIn(site, vip.zone)
  const route = { from, to: vip.address, port: NODE_PORT, timeoutMs: 15_000 }
  const { pod } = await retry(SETTLE_MS, async () => readAnswer(await get(route, '/')))
  expect(pod === 'web', `${pod} answered`)
  return `from ${from} in ${vip.zone} to ${vip.address}:${NODE_PORT}: ${pod} answers`
}

/** The API server connects to the kubelet; kubectl reaches it by the load balancer. */
async function checkKubectl({ clone }: PlacedClone): Promise<string> {
  const kubectl = ['/usr/bin/kubectl', '--kubeconfig=/etc/kubernetes/admin.conf'] as const
  const log = (await clone.agent.output([...kubectl, 'logs', 'web'])).trim()
  expect(log === SERVING_LINE, `the log says "${log}"`)
  const name = (
    await clone.agent.output([...kubectl, 'exec', 'web', '--', '/usr/bin/cat', '/etc/hostname'])
  ).trim()
  expect(name === 'web', `the pod says "${name}"`)
  return `logs: ${log}; exec: ${name}`
}

/** The pods' bridge has the first name that the firewall permits. */
function bridgeName({ platform }: TogetherTestBed): string {
  const { interface: names } = platform.cluster.pods
  const [first = ''] = [names].flat()
  return first
}

async function importImage({ clone }: PlacedClone): Promise<void> {
  const script =
    'base64 --decode >/run/test-image.tar; ctr --namespace k8s.io images import /run/test-image.tar'
  await clone.agent.output(['/bin/bash', '-euc', script], containerImage().toString('base64'))
}

function describeNodes(nodes: readonly ClusterNode[], { controlPlane }: TogetherTestBed): string {
  return nodes
    .map(({ metadata, spec, status }) => {
      const role = 'node-role.kubernetes.io/control-plane'
      const isControlPlane = metadata.name === controlPlane.machine.hostname
      expect(
        role in metadata.labels === isControlPlane,
        `${metadata.name} has the labels ${Object.keys(metadata.labels)}`,
      )
      const tainted = spec.taints.some(({ key, effect }) => key === role && effect === 'NoSchedule')
      expect(tainted === isControlPlane, `${metadata.name} has the taints ${JSON.stringify(spec.taints)}`)
      const address = status.addresses.find(({ type }) => type === 'InternalIP')?.address
      return `${metadata.name} ${address}, ${status.nodeInfo.kubeletVersion}, pods ${spec.podCIDR}`
    })
    .join('; ')
}

/** What the nodes run came with the image: the sandboxes use the pinned one, and nothing was pulled. */
async function checkImages(nodes: readonly PlacedClone[]): Promise<string> {
  const seen: string[] = []
  for (const { clone, machine } of nodes) {
    const images = await clone.agent.shell(
      'ctr --namespace k8s.io containers ls | awk \'NR > 1 && $2 != "-" { print $2 }\' | sort -u',
    )
    const pulled = await clone.agent.shell(
      'journalctl --boot --no-pager --output=cat --unit=containerd | grep -c "PullImage " || true',
    )
    expect(pulled.trim() === '0', `${machine.hostname} has pulled ${pulled.trim()} images`)
    expect(/\/pause:/.test(images), `${machine.hostname} runs ${images.split('\n').join(', ')}`)
    seen.push(`${machine.hostname}: ${images.trim().split('\n').join(', ')}`)
  }
  return seen.join('; ')
}
