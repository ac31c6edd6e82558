import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import type { DriveFiles } from '../../vm/cloud-init-drive.ts'
import { TestAuthority, type TestKeyPair } from '../certificates.ts'
import type { TestSetting } from '../contract.ts'
import { founderValues, memberFiles, memberOf, memberSubject } from '../etcd/configuration.ts'
import { API_NAME, balancerFiles } from '../haproxy/configuration.ts'
import type { ImageUnderTest } from '../image-under-test.ts'
import { controlPlaneFiles, initValues, issueEtcdClient, makeSecrets } from '../kubernetes/configuration.ts'
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
  /** The Kubernetes cluster's authority (PEM), and the API server's certificate by it. */
  readonly clusterCa: string
  readonly apiServer: TestKeyPair
}

// As in each image's own contract.
const maximumMiB = { haproxy: 1024, etcd: 1024, 'kubernetes-node': 2048 }

/** Builds the test bed in this process's network namespace. `tearDown` removes it. */
export async function buildTogetherTestBed(run: TogetherRun): Promise<TogetherTestBed> {
  const { platform, images } = run
  const site = layOutSite(platform, [
    { hostname: 'lb1', role: 'haproxy', number: 0 },
    { hostname: 'cp1', role: 'control-plane', number: 1 },
    { hostname: 'etcd1', role: 'etcd', number: 2 },
  ])
  const [balancer, controlPlane, etcd] = ['lb1', 'cp1', 'etcd1'].map((name) => machineOf(site, name))
  if (!balancer || !controlPlane || !etcd) throw new Error('the site needs three machines')
  const bed = await buildTestBed(run, site)
  const folder = join(run.folder, 'certificates')
  const cluster = await TestAuthority.make('kubernetes-ca', folder)
  const database = await TestAuthority.make('etcd-ca', folder)
  const member = memberOf(etcd)
  const memberPair = await database.issue(member.name, memberSubject(member))
  const etcdClient = await issueEtcdClient(database)
  const apiServer = await cluster.issue('apiserver', {
    commonName: 'kube-apiserver',
    dnsNames: [API_NAME],
    usages: ['serverAuth'],
  })
  const make = async (
    machine: MachineSpec,
    image: keyof Images,
    values: NodeValues,
    files: readonly VendorFile[],
  ): Promise<StartableClone> => ({
    machine: machine,
    clone: await makeClone(bed, machine, { qcow2: images[image].qcow2, maximumMiB: maximumMiB[image] }),
    drive: nodeDrive(bed, machine, values, files),
  })
  return {
    ...bed,
    balancer: await make(
      balancer,
      'haproxy',
      balancerValues(platform, balancer, controlPlane),
      balancerFiles(cluster.cert),
    ),
    controlPlane: await make(
      controlPlane,
      'kubernetes-node',
      initValues(platform, controlPlane, makeSecrets(), [member.address]),
      controlPlaneFiles(database, etcdClient),
    ),
    etcd: await make(etcd, 'etcd', founderValues([member]), memberFiles(database, memberPair)),
    clusterCa: cluster.cert,
    apiServer,
  }
}
