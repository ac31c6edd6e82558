import { join } from 'node:path'
import type { Clone } from '../../vm/clone.ts'
import type { DriveFiles } from '../../vm/cloud-init-drive.ts'
import { Authority, type KeyPair } from '../certificates.ts'
import type { ProofGround } from '../contract.ts'
import { founderValues, memberFiles, memberOf, memberSubject } from '../etcd/configuration.ts'
import { apiName } from '../haproxy/configuration.ts'
import type { Candidate } from '../image-under-test.ts'
import { controlPlaneFiles, initValues, makeSecrets } from '../kubernetes/configuration.ts'
import { layOutSite, type Seat, seatOf } from '../site.ts'
import { buildStage, makeClone, type NodeValues, nodeDrive, type Stage } from '../test-bed.ts'
import { balancerValues } from './configuration.ts'

/** One finished image of each kind. */
export interface Images {
  readonly haproxy: Candidate
  readonly etcd: Candidate
  readonly 'kubernetes-node': Candidate
}

/** What the proof of all images together works with. */
export interface TogetherProof extends ProofGround {
  readonly images: Images
}

/** A clone, its place, and the drive it starts with. */
export interface Machine {
  readonly clone: Clone
  readonly seat: Seat
  readonly drive: DriveFiles
}

/** The stage of a whole small platform: a load balancer, a control plane, and its etcd. */
export interface TogetherStage extends Stage {
  readonly balancer: Machine
  readonly controlPlane: Machine
  readonly etcd: Machine
  /** The Kubernetes cluster's authority (PEM), and the API server's certificate by it. */
  readonly clusterCa: string
  readonly apiServer: KeyPair
}

// As in each image's own contract.
const memoryMiB = { haproxy: 1024, etcd: 1024, 'kubernetes-node': 2048 }

/** Builds the stage in this process's network namespace. `strikeStage` takes it down. */
export async function buildTogether(proof: TogetherProof): Promise<TogetherStage> {
  const { platform, images } = proof
  const site = layOutSite(platform, [
    { hostname: 'lb1', role: 'haproxy', machine: 0, routed: false },
    { hostname: 'cp1', role: 'control-plane', machine: 1, routed: true },
    { hostname: 'etcd1', role: 'etcd', machine: 2, routed: true },
  ])
  const [balancer, controlPlane, etcd] = ['lb1', 'cp1', 'etcd1'].map((name) => seatOf(site, name))
  if (!balancer || !controlPlane || !etcd) throw new Error('three seats were laid out')
  const stage = await buildStage(proof, site)
  const folder = join(proof.folder, 'certificates')
  const cluster = await Authority.make('kubernetes-ca', folder)
  const database = await Authority.make('etcd-ca', folder)
  const member = memberOf(etcd)
  const memberPair = await database.issue(member.name, memberSubject(member))
  const etcdClient = await database.issue('apiserver-etcd-client', {
    commonName: 'kube-apiserver-etcd-client',
    usages: ['clientAuth'],
  })
  const apiServer = await cluster.issue('apiserver', {
    commonName: 'kube-apiserver',
    dnsNames: [apiName],
    usages: ['serverAuth'],
  })
  const make = async (
    seat: Seat,
    image: keyof Images,
    values: NodeValues,
    files: Parameters<typeof nodeDrive>[3],
  ): Promise<Machine> => ({
    seat,
    clone: await makeClone(stage, seat, images[image].qcow2, memoryMiB[image]),
    drive: nodeDrive(stage, seat, values, files),
  })
  const clusterCa = {
    path: '/etc/seeder/trust/kubernetes-ca.crt',
    permissions: '0644',
    content: cluster.cert,
  }
  return {
    ...stage,
    balancer: await make(balancer, 'haproxy', balancerValues(platform, balancer, controlPlane), [clusterCa]),
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
