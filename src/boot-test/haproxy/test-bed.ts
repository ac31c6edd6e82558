import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import type { Clone } from '../../vm/clone.ts'
import type { DriveFiles } from '../../vm/cloud-init-drive.ts'
import { type CertificateRequest, TestAuthority, type TestKeyPair } from '../certificates.ts'
import type { TestRun } from '../contract.ts'
import { API_PORT } from '../kubernetes/configuration.ts'
import type { MachineSpec } from '../site.ts'
import { buildTestBed, makeClone, nodeDrive, type TestBed, tearDown } from '../test-bed.ts'
import { ApiServer, Worker } from './backends.ts'
import { API_NAME, balancerFiles, HEALTH_PORT, nodePorts } from './configuration.ts'
import { layOutPair, type PairSite } from './site.ts'

// As much as the platform's load balancers have; a pair has to fit on the runner.
const MAXIMUM_MIB = 1024

/** The certificates of the API servers. */
export interface ClusterCertificates {
  readonly ca: string
  /** Signed by the cluster's CA for the right name. */
  readonly good: TestKeyPair
  /** Signed by the cluster's CA for another name. */
  readonly wrongName: TestKeyPair
  /** For the right name, signed by another CA. */
  readonly otherCa: TestKeyPair
}

/** A test bed with a pair of load balancers, their workers and API servers. */
export interface HaproxyTestBed extends TestBed, TestRun {
  readonly site: PairSite
  readonly certificates: ClusterCertificates
  readonly workers: readonly Worker[]
  /** In the order of `site.apiServers`: two good ones, one with a wrong name, one of another authority. */
  readonly apiServers: readonly ApiServer[]
  readonly pair: readonly [Clone, Clone]
  drive(machine: MachineSpec, values: NodeValues): DriveFiles
}

/** Builds the test bed in this process's network namespace. `tearDownHaproxy` removes it. */
export async function buildHaproxyTestBed(run: TestRun): Promise<HaproxyTestBed> {
  const site = layOutPair(run.platform)
  const bed = await buildTestBed(run, site)
  const certificates = await makeCertificates(join(run.folder, 'certificates'), API_NAME)
  const workers = site.workers.map((peer) => new Worker(peer, { services: nodePorts, health: HEALTH_PORT }))
  const { good, wrongName, otherCa } = certificates
  const pairs = [good, good, wrongName, otherCa]
  const apiServers = site.apiServers.map((peer, index) => new ApiServer(peer, pairs[index] ?? otherCa))
  await Promise.all(workers.map((worker) => worker.start()))
  await Promise.all(apiServers.map((server) => server.start(API_PORT)))
  const clone = (machine: MachineSpec) =>
    makeClone(bed, machine, { qcow2: run.image.qcow2, maximumMiB: MAXIMUM_MIB })
  return {
    ...bed,
    site,
    certificates,
    workers,
    apiServers,
    pair: [await clone(site.pair[0]), await clone(site.pair[1])],
    drive: (machine, values) => nodeDrive(bed, machine, values, balancerFiles(certificates.ca)),
  }
}

/**
 * Makes the certificates of the API servers in a folder of their own.
 * @param dnsName the name that the load balancer verifies
 * @throws SeederError when openssl 3 is missing
 */
export async function makeCertificates(folder: string, dnsName: string): Promise<ClusterCertificates> {
  const cluster = await TestAuthority.make('kubernetes-ca', folder)
  const other = await TestAuthority.make('other-ca', folder)
  const server = (name: string): CertificateRequest => ({
    commonName: name,
    dnsNames: [name],
    usages: ['serverAuth'],
  })
  return {
    ca: cluster.cert,
    good: await cluster.issue('good', server(dnsName)),
    wrongName: await cluster.issue('wrong-name', server(`not-${dnsName}`)),
    otherCa: await other.issue('wrong-ca', server(dnsName)),
  }
}

/** Ends every VM, API server and worker. */
export async function tearDownHaproxy(bed: HaproxyTestBed): Promise<void> {
  await tearDown(bed)
  await Promise.all([...bed.workers, ...bed.apiServers].map((server) => server.stop()))
}
