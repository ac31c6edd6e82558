import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import { TestAuthority, type TestKeyPair } from '../certificates.ts'
import type { TestRun } from '../contract.ts'
import { cloneAddress, layOutSite, type MachinePlan, machineOf, type Peer, probeIn } from '../site.ts'
import { buildTestBed, makeClone, nodeDrive, type PlacedClone, type TestBed, tearDown } from '../test-bed.ts'
import { EtcdClient } from './client.ts'
import { DATA_LABEL, memberFiles, memberOf, memberSubject } from './configuration.ts'
import { Writer } from './writer.ts'

/** The host names of the test's clones, by their part in it. */
export const hostnames = {
  founders: ['etcd1', 'etcd2', 'etcd3'],
  /** Replaces the leader that is killed. */
  replacement: 'etcd4',
  /** Replace all members at the end. */
  successors: ['etcd5', 'etcd6', 'etcd7'],
  /** Has the values of a founder when the cluster runs already. */
  lateFounder: 'etcd8',
} as const

// Ten writes a second keep three emulated members busy with half of two cores, which a booting clone needs.
const pauseMs = { kvm: 50, tcg: 400 }
// Enough for an empty cluster; the platform's members have four times as much.
const MAXIMUM_MIB = 1024
// Sparse. Snapshots leave as much room on it as the quota, 2 GiB.
const DATA_DISK_BYTES = 4 * 1024 ** 3

/** A clone as a member of the cluster. */
export interface ClusterMember extends Peer, PlacedClone {}

/** A test bed for a cluster, whose members are booted one by one. */
export interface EtcdTestBed extends TestBed, TestRun {
  readonly authority: TestAuthority
  /** An authority that the cluster does not know. */
  readonly foreign: TestAuthority
  readonly client: EtcdClient
  readonly writer: Writer
  /** Every member's certificate, by its name. */
  readonly pairs: ReadonlyMap<string, TestKeyPair>
  /** This process's address in the zone of the members, one that a control plane could have. */
  readonly clientAddress: string
  /** Another one, which only a member could have: the firewall accepts peers from no other addresses. */
  readonly peerAddress: string
}

/** Builds the test bed in this process's network namespace. `tearDownEtcd` removes it. */
export async function buildEtcdTestBed(run: TestRun): Promise<EtcdTestBed> {
  const names = [...hostnames.founders, hostnames.replacement, ...hostnames.successors, hostnames.lateFounder]
  const plans = names.map((hostname, number): MachinePlan => ({ hostname, role: 'etcd', number }))
  const zone = run.platform.roles.etcd.zones[0] ?? ''
  const peerAddress = cloneAddress(run.platform, zone, 'etcd', names.length)
  const site = layOutSite(run.platform, plans, [{ zone, address: peerAddress }])
  const bed = await buildTestBed(run, site)
  const folder = join(run.folder, 'certificates')
  const authority = await TestAuthority.make('etcd-ca', folder)
  const foreign = await TestAuthority.make('foreign-ca', folder)
  const pairs = await Promise.all(
    site.machines.map(async (machine) => {
      const member = memberOf(machine)
      return [member.name, await authority.issue(member.name, memberSubject(member))] as const
    }),
  )
  const own = await authority.issue('client', { commonName: 'test', usages: ['clientAuth'] })
  const clientAddress = probeIn(site, zone)
  const client = new EtcdClient({ from: clientAddress, ca: authority.cert, pair: own })
  const writer = new Writer(client, [], pauseMs[run.emulator.accelerator])
  return { ...bed, authority, foreign, client, writer, pairs: new Map(pairs), clientAddress, peerAddress }
}

/** The machines with these host names as members. */
export function peersOf(bed: EtcdTestBed, names: readonly string[]): Peer[] {
  return names.map((name) => memberOf(machineOf(bed.site, name)))
}

/** Boots a clone with the values of a member, which decide whether it has a data disk. */
export async function bootMember(bed: EtcdTestBed, name: string, values: NodeValues): Promise<ClusterMember> {
  const machine = machineOf(bed.site, name)
  const pair = bed.pairs.get(name) ?? { cert: '', key: '' }
  const clone = await makeClone(bed, machine, {
    qcow2: bed.image.qcow2,
    maximumMiB: MAXIMUM_MIB,
    dataDiskBytes: values.ETCD_DATA_DISK === DATA_LABEL ? DATA_DISK_BYTES : undefined,
  })
  // Emulated members on a busy machine receive messages late: with etcd's default times they would elect for ever.
  const slow = { ETCD_HEARTBEAT_MS: '500', ETCD_ELECTION_MS: '5000' }
  const timing = bed.emulator.accelerator === 'kvm' ? {} : slow
  await clone.start(nodeDrive(bed, machine, { ...values, ...timing }, memberFiles(bed.authority, pair)))
  return { ...memberOf(machine), machine, clone }
}

/** Ends the writer, its client, and every VM. */
export async function tearDownEtcd(bed: EtcdTestBed): Promise<void> {
  await bed.writer.stop()
  bed.client.close()
  await tearDown(bed)
}
