import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import type { Clone } from '../../vm/clone.ts'
import { TestAuthority, type TestKeyPair } from '../certificates.ts'
import type { TestRun } from '../contract.ts'
import { layOutSite, type MachineSpec } from '../site.ts'
import { buildTestBed, makeClone, nodeDrive, type TestBed } from '../test-bed.ts'
import { controlPlaneFiles, makeSecrets, type Secrets } from './configuration.ts'

// kubeadm wants 1700 MiB for a control plane; a worker of the proof runs one container.
const controlPlaneMiB = 2048
const workerMiB = 1024

/** A clone and its place. */
export interface Node {
  readonly clone: Clone
  readonly seat: MachineSpec
}

/** The stage of a small cluster: one that begins it, one that joins it, and one that is prepared only. */
export interface NodeStage extends TestBed {
  readonly secrets: Secrets
  readonly etcdAuthority: TestAuthority
  readonly etcdClient: TestKeyPair
  /** Begins the cluster. */
  readonly controlPlane: Node
  /** Joins it. */
  readonly worker: Node
  /** A control plane that is given bad values, and then everything but a cluster. */
  readonly spare: Node
  /** What a control plane gets beside node.env. */
  readonly files: readonly VendorFile[]
}

/** Builds the stage in this process's network namespace. `strikeStage` takes it down. */
export async function buildNodes(proof: TestRun): Promise<NodeStage> {
  const { platform, candidate, folder } = proof
  const site = layOutSite(platform, [
    { hostname: 'cp1', role: 'control-plane', machine: 0, routed: true },
    { hostname: 'w1', role: 'worker', machine: 1, routed: true },
    { hostname: 'cp2', role: 'control-plane', machine: 2, routed: true },
  ])
  const stage = await buildTestBed(proof, site)
  const etcdAuthority = await TestAuthority.make('etcd-ca', join(folder, 'certificates'))
  const etcdClient = await etcdAuthority.issue('apiserver-etcd-client', {
    commonName: 'kube-apiserver-etcd-client',
    usages: ['clientAuth'],
  })
  const nodes: Node[] = []
  for (const seat of site.machines) {
    const mostMiB = seat.role === 'worker' ? workerMiB : controlPlaneMiB
    nodes.push({ seat, clone: await makeClone(stage, seat, candidate.qcow2, mostMiB) })
  }
  const [controlPlane, worker, spare] = nodes
  if (!controlPlane || !worker || !spare) throw new Error('three seats were laid out')
  return {
    ...stage,
    ...{ secrets: makeSecrets(), etcdAuthority, etcdClient, controlPlane, worker, spare },
    files: controlPlaneFiles(etcdAuthority, etcdClient),
  }
}

/** Starts a node with these values, and what a control plane needs if it is one. */
export async function startNode(stage: NodeStage, { clone, seat }: Node, values: NodeValues): Promise<void> {
  const files = seat.role === 'control-plane' ? stage.files : []
  await clone.start(nodeDrive(stage, seat, values, files))
}
