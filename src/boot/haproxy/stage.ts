import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { processorsFor } from '../accelerator.ts'
import { Clone } from '../clone.ts'
import type { DriveFiles } from '../cloudinit.ts'
import type { Proof } from '../contract.ts'
import { DhcpServer } from '../dhcp.ts'
import { raiseLan } from '../lan.ts'
import { makeSshKey, type SshKey } from '../ssh.ts'
import { ApiServer } from './api-server.ts'
import { type ClusterCertificates, makeCertificates } from './certificates.ts'
import {
  apiName,
  apiPort,
  healthPort,
  loadBalancerDrive,
  type NodeValues,
  nodePorts,
  type Operator,
} from './configuration.ts'
import { layOutSite, type Seat, type Site } from './site.ts'
import { Worker } from './worker.ts'

/** Size of a clone's disk: well above the image, so that growing shows. */
export const diskBytes = 8 * 1024 ** 3
/** What the proof's operator logs in as. */
export const operatorUser = 'seeder'

/** Everything around the pair that is proven: networks, backends, API servers, the operator, and the clones. */
export interface Stage {
  readonly folder: string
  readonly site: Site
  readonly certificates: ClusterCertificates
  readonly sshKey: SshKey
  readonly dhcp: DhcpServer
  readonly workers: readonly Worker[]
  /** In the order of `site.apiServers`: two good ones, one with a wrong name, one of another authority. */
  readonly apiServers: readonly ApiServer[]
  readonly clones: readonly [Clone, Clone]
  drive(seat: Seat, values: NodeValues): DriveFiles
}

/** Builds the stage in this process's network namespace. `strike` takes it down. */
export async function buildStage(proof: Proof): Promise<Stage> {
  const { folder, platform, emulator, candidate } = proof
  const site = layOutSite(platform)
  await raiseLan(site.lan)
  const certificates = await makeCertificates(join(folder, 'certificates'), apiName)
  const sshKey = await makeSshKey(folder)
  const dhcp = new DhcpServer(site.seats.flatMap(({ nics }) => nics.flatMap(({ lease }) => lease ?? [])))
  const workers = site.workers.map((peer) => new Worker(peer, { services: nodePorts, health: healthPort }))
  const { good, wrongName, otherCa } = certificates
  const pairs = [good, good, wrongName, otherCa]
  const apiServers = site.apiServers.map((peer, at) => new ApiServer(peer, pairs[at] ?? otherCa))
  await Promise.all([dhcp.start(), ...workers.map((worker) => worker.start())])
  await Promise.all(apiServers.map((server) => server.start(apiPort)))
  const operator: Operator = {
    user: operatorUser,
    sshKey: sshKey.publicKey,
    clusterCa: certificates.ca,
    nameservers: platform.dns,
  }
  const make = (seat: Seat) =>
    Clone.make(candidate.qcow2, folder, emulator, {
      name: seat.hostname,
      uuid: randomUUID(),
      memoryMiB: Math.min(platform.roles.haproxy.memory, 1024),
      cpus: processorsFor(emulator.accelerator),
      diskBytes,
      nics: seat.nics,
    })
  return {
    folder,
    site,
    certificates,
    sshKey,
    dhcp,
    workers,
    apiServers,
    clones: [await make(site.seats[0]), await make(site.seats[1])],
    drive: (seat, values) => loadBalancerDrive(seat, values, operator),
  }
}

/** Ends every VM and server of a stage. */
export async function strikeStage(stage: Stage): Promise<void> {
  await Promise.all(stage.clones.map((clone) => clone.kill()))
  await Promise.all([...stage.workers, ...stage.apiServers, stage.dhcp].map((server) => server.stop()))
}
