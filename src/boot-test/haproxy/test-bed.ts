import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import type { Clone } from '../../vm/clone.ts'
import type { DriveFiles } from '../../vm/cloud-init-drive.ts'
import type { TestRun } from '../contract.ts'
import type { MachineSpec } from '../site.ts'
import { buildTestBed, makeClone, nodeDrive, type TestBed, tearDown } from '../test-bed.ts'
import { ApiServer } from './api-server.ts'
import { type ClusterCertificates, makeCertificates } from './certificates.ts'
import { apiName, apiPort, healthPort, nodePorts } from './configuration.ts'
import { layOutPair, type PairSite } from './site.ts'
import { Worker } from './worker.ts'

// What the platform's load balancers have; a pair has to fit on the runner.
const mostMemoryMiB = 1024

/** The stage of the pair that is proven, with its backends and API servers. */
export interface PairStage extends TestBed {
  readonly site: PairSite
  readonly certificates: ClusterCertificates
  readonly workers: readonly Worker[]
  /** In the order of `site.apiServers`: two good ones, one with a wrong name, one of another authority. */
  readonly apiServers: readonly ApiServer[]
  readonly pair: readonly [Clone, Clone]
  drive(seat: MachineSpec, values: NodeValues): DriveFiles
}

/** Builds the stage in this process's network namespace. `strikePair` takes it down. */
export async function buildPair(proof: TestRun): Promise<PairStage> {
  const { folder, platform, candidate } = proof
  const site = layOutPair(platform)
  const stage = await buildTestBed(proof, site)
  const certificates = await makeCertificates(join(folder, 'certificates'), apiName)
  const workers = site.workers.map((peer) => new Worker(peer, { services: nodePorts, health: healthPort }))
  const { good, wrongName, otherCa } = certificates
  const pairs = [good, good, wrongName, otherCa]
  const apiServers = site.apiServers.map((peer, at) => new ApiServer(peer, pairs[at] ?? otherCa))
  await Promise.all(workers.map((worker) => worker.start()))
  await Promise.all(apiServers.map((server) => server.start(apiPort)))
  const clone = (seat: MachineSpec) => makeClone(stage, seat, candidate.qcow2, mostMemoryMiB)
  const ca = { path: '/etc/seeder/trust/kubernetes-ca.crt', permissions: '0644', content: certificates.ca }
  return {
    ...stage,
    site,
    certificates,
    workers,
    apiServers,
    pair: [await clone(site.pair[0]), await clone(site.pair[1])],
    drive: (seat, values) => nodeDrive(stage, seat, values, [ca]),
  }
}

/** Ends every VM and server of a stage. */
export async function strikePair(stage: PairStage): Promise<void> {
  await tearDown(stage)
  await Promise.all([...stage.workers, ...stage.apiServers].map((server) => server.stop()))
}
