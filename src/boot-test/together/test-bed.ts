import { createHash, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import type { RoleName } from '../../platform/schema.ts'
import type { DriveFiles } from '../../vm/cloud-init-drive.ts'
import { TestAuthority } from '../certificates.ts'
import type { TestSetting } from '../contract.ts'
import { founderValues, memberFiles, memberOf, memberSubject } from '../etcd/configuration.ts'
import { balancerFiles } from '../haproxy/configuration.ts'
import type { ImageUnderTest } from '../image-under-test.ts'
import {
  controlPlaneFiles,
  initValues,
  issueEtcdClient,
  joinValues,
  makeSecrets,
} from '../kubernetes/configuration.ts'
import { layOutSite, type MachineSpec, machineOf } from '../site.ts'
import { buildTestBed, makeClone, nodeDrive, type PlacedClone, type TestBed } from '../test-bed.ts'
import { balancerValues } from './configuration.ts'

/** One finished image of each kind. */
export type Images = Readonly<Record<'haproxy' | 'etcd' | 'kubernetes-node', ImageUnderTest>>

/** What the test of all images together needs. */
export interface TogetherRun extends TestSetting {
  readonly images: Images
}

/** A clone and the drive that it starts with. */
export interface StartableClone extends PlacedClone {
  readonly drive: DriveFiles
}

/** A test bed with a small platform: a load balancer, a control plane, and its etcd. */
export interface TogetherTestBed extends TestBed, TogetherRun {
  readonly balancer: StartableClone
  readonly controlPlane: StartableClone
  readonly etcd: StartableClone
  /** Joins the cluster when it is there. */
  readonly worker: StartableClone
  /** The Kubernetes cluster's authority (PEM). */
  readonly clusterCa: string
}

// An emulated control plane with one processor loses its API server to the limits of its start-up.
const sizes: Readonly<Record<RoleName, { maximumMiB: number; leastProcessors: number }>> = {
  haproxy: { maximumMiB: 1024, leastProcessors: 1 },
  etcd: { maximumMiB: 1024, leastProcessors: 1 },
  'control-plane': { maximumMiB: 3072, leastProcessors: 3 },
  worker: { maximumMiB: 2048, leastProcessors: 2 },
}

/** Builds the test bed in this process's network namespace. `tearDown` removes it. */
export async function buildTogetherTestBed(run: TogetherRun): Promise<TogetherTestBed> {
  const { platform, images } = run
  const site = layOutSite(platform, [
    { hostname: 'lb1', role: 'haproxy', number: 0 },
    { hostname: 'cp1', role: 'control-plane', number: 1 },
    { hostname: 'etcd1', role: 'etcd', number: 2 },
    { hostname: 'w1', role: 'worker', number: 3 },
  ])
  const [balancer, controlPlane, etcd, worker] = ['lb1', 'cp1', 'etcd1', 'w1'].map((name) =>
    machineOf(site, name),
  )
  if (!balancer || !controlPlane || !etcd || !worker) throw new Error('the site needs four machines')
  const bed = await buildTestBed(run, site)
  const folder = join(run.folder, 'certificates')
  const cluster = await TestAuthority.make('kubernetes-ca', folder)
  const database = await TestAuthority.make('etcd-ca', folder)
  const member = memberOf(etcd)
  const memberPair = await database.issue(member.name, memberSubject(member))
  const etcdClient = await issueEtcdClient(database)
  const secrets = { ...makeSecrets(), caHash: publicKeyHash(cluster.cert) }
  const make = async (
    machine: MachineSpec,
    image: keyof Images,
    values: NodeValues,
    files: readonly VendorFile[],
  ): Promise<StartableClone> => ({
    machine: machine,
    clone: await makeClone(bed, machine, {
      qcow2: images[image].qcow2,
      ...sizes[machine.role],
    }),
    drive: nodeDrive(bed, machine, values, files),
  })
  return {
    ...bed,
    balancer: await make(
      balancer,
      'haproxy',
      balancerValues(platform, balancer, controlPlane, worker),
      balancerFiles(cluster.cert),
    ),
    controlPlane: await make(
      controlPlane,
      'kubernetes-node',
      initValues(platform, controlPlane, secrets, [member.address]),
      [...controlPlaneFiles(database, etcdClient), ...(await clusterCaFiles(cluster))],
    ),
    worker: await make(worker, 'kubernetes-node', joinValues(platform, controlPlane, secrets), []),
    etcd: await make(etcd, 'etcd', founderValues([member]), memberFiles(database, memberPair)),
    clusterCa: cluster.cert,
  }
}

/** A cluster's CA as JOIN_CA_HASH names it. */
function publicKeyHash(cert: string): string {
  const key = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' })
  return `sha256:${createHash('sha256').update(key).digest('hex')}`
}

/** The cluster's CA, made by the operator: the load balancer can verify the API server from its first second. */
async function clusterCaFiles(cluster: TestAuthority): Promise<VendorFile[]> {
  return [
    { path: '/etc/kubernetes/pki/ca.crt', permissions: '0644', content: cluster.cert },
    { path: '/etc/kubernetes/pki/ca.key', permissions: '0600', content: await cluster.readKey() },
  ]
}
