import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { describeError } from '../../report/error.ts'
import { expect, type Recorder } from '../checks.ts'
import { guestStatus } from '../guest-facts.ts'
import { checkLogin } from '../login.ts'
import { checkProbes, portsOf, probesOf } from '../port-matrix.ts'
import { get } from '../probe.ts'
import { clientPort, EtcdClient, peerPort } from './client.ts'
import { dataLabel } from './configuration.ts'
import type { EtcdCheck } from './contract.ts'
import { operate, patienceMs } from './membership.ts'
import type { ClusterMember, ClusterStage } from './test-bed.ts'

const serving = { tcp: [22, clientPort, peerPort], udp: [] }
// What a server says to a client that shows no certificate, or one it does not know: TLS's alert, or an end.
const turnedAway = /alert|ECONNRESET|EPIPE|socket hang up|disconnected/i
const snapshotStatus = z.object({ revision: z.number(), totalKey: z.number(), totalSize: z.number() })

/** Asks one member of a cluster that serves for everything its role promises. */
export async function checkMember(
  checks: Recorder<EtcdCheck>,
  stage: ClusterStage,
  member: ClusterMember,
): Promise<void> {
  const { platform, site } = stage
  const { clone, seat } = member
  await checks.run('certificate-required', () => checkStrangers(stage, member))
  await checks.run('ports', () => checkProbes(probesOf(platform, site, seat, portsOf(platform), serving)))
  await checks.run('login', () => checkLogin(stage, clone, seat))
  await checks.run('health', () => checkHealth(member))
  await checks.run('data-disk', () => checkDataDisk(member))
  await checks.run('snapshot', () => checkSnapshot(stage, member))
  await checks.run('idempotent', () => checkIdempotent(member))
}

async function checkStrangers(stage: ClusterStage, member: ClusterMember): Promise<string> {
  const { authority, foreign, clientAddress: from } = stage
  const unknown = await foreign.issue('unknown', { commonName: 'proof', usages: ['clientAuth'] })
  const clients = {
    'without a certificate': undefined,
    'with a certificate of another authority': unknown,
  }
  for (const [who, pair] of Object.entries(clients)) {
    const client = new EtcdClient({ from, ca: authority.cert, pair })
    const words = await client.members(member.address, patienceMs).then(
      () => 'it was answered',
      (error: unknown) => describeError(error),
    )
    client.close()
    expect(turnedAway.test(words), `a client ${who} was not turned away: ${words}`)
  }
  const route = { from: stage.peerAddress, to: member.address, port: peerPort, timeoutMs: patienceMs }
  const words = await get(route, '/members', { name: member.name, ca: authority.cert }).then(
    () => 'it was answered',
    (error: unknown) => describeError(error),
  )
  expect(turnedAway.test(words), `a peer without a certificate was not turned away: ${words}`)
  const members = await stage.client.members(member.address, patienceMs)
  return `${Object.keys(clients).join(' and ')}: turned away, as a peer too; with the right one ${members.length} members are listed`
}

async function checkHealth(member: ClusterMember): Promise<string> {
  const health = (await operate(member, 'health')).trim()
  parseJson(health, z.record(z.string(), z.unknown()))
  const members = await operate(member, 'members')
  expect(members.includes(member.name), `\`etcd members\` does not list ${member.name}: ${members}`)
  return health
}

async function checkDataDisk({ clone }: ClusterMember): Promise<string> {
  const mounted = await clone.agent.shell(
    'findmnt --noheadings --raw --output SOURCE,LABEL,FSTYPE --target /var/lib/etcd/data && findmnt --noheadings --output SOURCE /',
  )
  const [data = '', root = ''] = mounted.trim().split('\n')
  const [device = '', label, fileSystem] = data.split(' ')
  expect(label === dataLabel, `the data is on ${device} with the label ${label || 'none'}, not ${dataLabel}`)
  expect(device !== root.trim(), `the data is on ${device}, which is also /`)
  return `${device}, ${fileSystem}, found by its label ${label}`
}

async function checkSnapshot(stage: ClusterStage, member: ClusterMember): Promise<string> {
  const before = await stage.client.status(member.address, patienceMs)
  await operate(member, 'snapshot')
  const { agent } = member.clone
  const newest = (await agent.shell('ls -t /var/lib/etcd/snapshots/*.db | head -n 1')).trim()
  const mode = (await agent.output(['/usr/bin/stat', '--format=%a %U', newest])).trim()
  expect(/^[0-7]00 etcd$/.test(mode), `${newest} is ${mode}: it holds every secret of the cluster`)
  const told = await agent.shell(
    `tool=$(command -v etcdutl || command -v etcdctl); "$tool" snapshot status '${newest}' --write-out=json 2>/dev/null`,
  )
  const status = parseJson(told, snapshotStatus)
  expect(
    status.revision >= before.revision,
    `the snapshot has revision ${status.revision}; the cluster was at ${before.revision} already`,
  )
  const timer = await agent.exec(['/bin/systemctl', 'is-active', 'seeder-etcd-snapshot.timer'])
  expect(timer.stdout.trim() === 'active', `the timer of the hourly snapshots is ${timer.stdout.trim()}`)
  return `${newest.split('/').at(-1)}: revision ${status.revision}, ${status.totalKey} keys; the timer is active`
}

async function checkIdempotent({ clone }: ClusterMember): Promise<string> {
  const { agent } = clone
  const state = async () => {
    const process = await agent.shell('systemctl show --property=MainPID --value etcd.service')
    return `${process.trim()} ${(await agent.shell('cat /var/lib/etcd/seeder-member')).trim()}`
  }
  const before = await state()
  await agent.exec(['/bin/systemctl', 'restart', 'seeder-first-boot.service'], { timeoutMs: 120_000 })
  // Nothing is under way any more when it returns, but what it may have started is.
  await sleep(500)
  const status = await guestStatus(agent)
  expect(status.state === 'ready', `run again, first boot says ${status.state}: ${status.reason}`)
  const after = await state()
  expect(before === after, `run again, first boot changed a member that serves: ${before} became ${after}`)
  return `run again on a member that serves, it says: ${status.reason}`
}
