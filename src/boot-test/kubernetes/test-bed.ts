import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import { TestAuthority, type TestKeyPair } from '../certificates.ts'
import type { TestRun } from '../contract.ts'
import { layOutSite } from '../site.ts'
import { buildTestBed, makeClone, nodeDrive, type PlacedClone, type TestBed } from '../test-bed.ts'
import { controlPlaneFiles, issueEtcdClient, makeSecrets, type Secrets } from './configuration.ts'

// kubeadm needs 1700 MiB and two processors for a control plane; the worker of the test runs one container.
const CONTROL_PLANE_PROCESSORS = 2
const CONTROL_PLANE_MIB = 2048
const WORKER_MIB = 1024

/** A test bed with a small cluster. */
export interface KubernetesTestBed extends TestBed, TestRun {
  readonly secrets: Secrets
  readonly etcdAuthority: TestAuthority
  readonly etcdClient: TestKeyPair
  /** Begins the cluster. */
  readonly controlPlane: PlacedClone
  /** Joins it. */
  readonly worker: PlacedClone
  /** A control plane that first gets bad values, and then all values of a node but no cluster. */
  readonly spare: PlacedClone
  /** The files of a control plane beside node.env. */
  readonly files: readonly VendorFile[]
}

/** Builds the test bed in this process's network namespace. `tearDown` removes it. */
export async function buildKubernetesTestBed(run: TestRun): Promise<KubernetesTestBed> {
  const site = layOutSite(run.platform, [
    { hostname: 'cp1', role: 'control-plane', number: 0 },
    { hostname: 'w1', role: 'worker', number: 1 },
    { hostname: 'cp2', role: 'control-plane', number: 2 },
  ])
  const bed = await buildTestBed(run, site)
  const etcdAuthority = await TestAuthority.make('etcd-ca', join(run.folder, 'certificates'))
  const etcdClient = await issueEtcdClient(etcdAuthority)
  const nodes: PlacedClone[] = []
  for (const machine of site.machines) {
    const size =
      machine.role === 'worker'
        ? { maximumMiB: WORKER_MIB }
        : { maximumMiB: CONTROL_PLANE_MIB, leastProcessors: CONTROL_PLANE_PROCESSORS }
    nodes.push({ machine, clone: await makeClone(bed, machine, { qcow2: run.image.qcow2, ...size }) })
  }
  const [controlPlane, worker, spare] = nodes
  if (!controlPlane || !worker || !spare) throw new Error('the site needs three machines')
  return {
    ...bed,
    secrets: makeSecrets(),
    etcdAuthority,
    etcdClient,
    controlPlane,
    worker,
    spare,
    files: controlPlaneFiles(etcdAuthority, etcdClient),
  }
}

/** Starts a node with these values, and a control plane with its files. */
export async function startNode(
  bed: KubernetesTestBed,
  { clone, machine }: PlacedClone,
  values: NodeValues,
): Promise<void> {
  const files = machine.role === 'control-plane' ? bed.files : []
  await clone.start(nodeDrive(bed, machine, values, files))
}
