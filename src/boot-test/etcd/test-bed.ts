import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import type { Clone } from '../../vm/clone.ts'
import { TestAuthority, type TestKeyPair } from '../certificates.ts'
import type { TestRun } from '../contract.ts'
import {
  clonePlace,
  layOutSite,
  type MachinePlan,
  type MachineSpec,
  machineOf,
  type Peer,
  probeIn,
} from '../site.ts'
import { buildTestBed, makeClone, nodeDrive, type TestBed, tearDown } from '../test-bed.ts'
import { EtcdClient } from './client.ts'
import { dataLabel, memberFiles, memberOf, memberSubject } from './configuration.ts'
import { Writer } from './writer.ts'

/** The clones of the proof, by what becomes of them. */
export const cast = {
  founders: ['etcd1', 'etcd2', 'etcd3'],
  /** Takes the place of the leader that is killed. */
  replacement: 'etcd4',
  /** Take the places of all members at the end. */
  successors: ['etcd5', 'etcd6', 'etcd7'],
  /** Is told to found a cluster where one runs. */
  stray: 'etcd8',
} as const

// Ten writes a second keep three emulated members busy with half of two cores, which a booting clone needs.
const pauseMs = { kvm: 50, tcg: 400 }
// Enough for an empty cluster; the platform's members have four times as much.
const mostMemoryMiB = 1024
// Sparse. Snapshots leave as much room on it as the quota, 2 GiB.
const dataDiskBytes = 4 * 1024 ** 3

/** A clone as a member of the cluster. */
export interface ClusterMember extends Peer {
  readonly seat: MachineSpec
  readonly clone: Clone
}

/** The stage of a cluster: its authority, a client that writes, and a way to add clones. */
export interface ClusterStage extends TestBed {
  readonly authority: TestAuthority
  /** An authority the cluster has never heard of. */
  readonly foreign: TestAuthority
  readonly client: EtcdClient
  readonly writer: Writer
  /** Every member's certificate, by its name. */
  readonly pairs: ReadonlyMap<string, TestKeyPair>
  /** This process's own address where the members are, which is one that a control plane could have. */
  readonly clientAddress: string
  /** Another one there, which only a member could have: the firewall lets nobody else reach members as a peer. */
  readonly peerAddress: string
}

/** Builds the stage in this process's network namespace. `strikeCluster` takes it down. */
export async function buildCluster(proof: TestRun): Promise<ClusterStage> {
  const names = [...cast.founders, cast.replacement, ...cast.successors, cast.stray]
  const plans = names.map(
    (hostname, machine): MachinePlan => ({ hostname, role: 'etcd', machine, routed: true }),
  )
  const zone = proof.platform.roles.etcd.zones[0] ?? ''
  const peerAddress = clonePlace(proof.platform, zone, 'etcd', names.length)
  const site = layOutSite(proof.platform, plans, [{ zone, address: peerAddress }])
  const stage = await buildTestBed(proof, site)
  const folder = join(proof.folder, 'certificates')
  const authority = await TestAuthority.make('etcd-ca', folder)
  const foreign = await TestAuthority.make('foreign-ca', folder)
  const pairs = await Promise.all(
    site.machines.map(async (seat) => {
      const member = memberOf(seat)
      return [member.name, await authority.issue(member.name, memberSubject(member))] as const
    }),
  )
  const own = await authority.issue('client', { commonName: 'proof', usages: ['clientAuth'] })
  const clientAddress = probeIn(site, zone)
  const client = new EtcdClient({ from: clientAddress, ca: authority.cert, pair: own })
  const writer = new Writer(client, [], pauseMs[proof.emulator.accelerator])
  return { ...stage, authority, foreign, client, writer, pairs: new Map(pairs), clientAddress, peerAddress }
}

/** The peers that clones with these names are to the others. */
export function peersOf(stage: ClusterStage, names: readonly string[]): Peer[] {
  return names.map((name) => memberOf(machineOf(stage.site, name)))
}

/** Clones the image for a member and starts it with these values. One with a data disk gets a blank one. */
export async function bootMember(
  stage: ClusterStage,
  image: string,
  name: string,
  values: NodeValues,
): Promise<ClusterMember> {
  const seat = machineOf(stage.site, name)
  const pair = stage.pairs.get(name) ?? { cert: '', key: '' }
  const disk = values.ETCD_DATA_DISK === dataLabel ? dataDiskBytes : undefined
  const clone = await makeClone(stage, seat, image, mostMemoryMiB, disk)
  // Emulated members on a crowded machine hear each other late: with etcd's own times they would elect for ever.
  const slow = { ETCD_HEARTBEAT_MS: '500', ETCD_ELECTION_MS: '5000' }
  const timing = stage.emulator.accelerator === 'kvm' ? {} : slow
  await clone.start(nodeDrive(stage, seat, { ...values, ...timing }, memberFiles(stage.authority, pair)))
  return { ...memberOf(seat), seat, clone }
}

/** Ends every VM and the client of a stage. */
export async function strikeCluster(stage: ClusterStage): Promise<void> {
  await stage.writer.stop()
  stage.client.close()
  await tearDown(stage)
}
