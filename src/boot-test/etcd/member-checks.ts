import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { describeError } from '../../report/error.ts'
import { expect, type Recorder } from '../checks.ts'
import { expectReady, repeatFirstBoot, unitState } from '../first-boot.ts'
import { checkLogin } from '../login.ts'
import { checkPorts } from '../port-matrix.ts'
import { get } from '../probe.ts'
import type { EtcdCheck } from './checks.ts'
import { CLIENT_PORT, EtcdClient, PEER_PORT } from './client.ts'
import { DATA_LABEL } from './configuration.ts'
import { REQUEST_TIMEOUT_MS, runCommand } from './membership.ts'
import type { ClusterMember, EtcdTestBed } from './test-bed.ts'

const serving = { tcp: [22, CLIENT_PORT, PEER_PORT], udp: [] }
// A server refuses a client without a trusted certificate by a TLS alert, or it closes the connection.
const REFUSED = /alert|ECONNRESET|EPIPE|socket hang up|disconnected/i
const snapshotStatus = z.object({ revision: z.number(), totalKey: z.number(), totalSize: z.number() })

/** Checks on one member of a running cluster what its role has to fulfil. */
export async function checkMember(
  checks: Recorder<EtcdCheck>,
  bed: EtcdTestBed,
  member: ClusterMember,
): Promise<void> {
  await checks.run('certificate-required', () => checkCertificateRequired(bed, member))
  await checks.run('ports', () => checkPorts(bed, member, serving))
  await checks.run('login', () => checkLogin(bed, member))
  await checks.run('health', () => checkHealth(member))
  await checks.run('data-disk', () => checkDataDisk(member))
  await checks.run('snapshot', () => checkSnapshot(bed, member))
  await checks.run('idempotent', () => checkIdempotent(member))
}

async function checkCertificateRequired(bed: EtcdTestBed, member: ClusterMember): Promise<string> {
  const { authority, foreign, clientAddress: from } = bed
  const unknown = await foreign.issue('unknown', { commonName: 'test', usages: ['clientAuth'] })
  const clients = {
    'without a certificate': undefined,
    'with a certificate of another authority': unknown,
  }
  for (const [kind, pair] of Object.entries(clients)) {
    const client = new EtcdClient({ from, ca: authority.cert, pair })
    await expectRefused(`a client ${kind}`, client.members(member.address, REQUEST_TIMEOUT_MS))
    client.close()
  }
  const route = { from: bed.peerAddress, to: member.address, port: PEER_PORT, timeoutMs: REQUEST_TIMEOUT_MS }
  const tls = { name: member.name, ca: authority.cert }
  await expectRefused('a peer without a certificate', get(route, '/members', tls))
  const members = await bed.client.members(member.address, REQUEST_TIMEOUT_MS)
  return `${Object.keys(clients).join(' and ')}: refused, as a peer too; with the right one ${members.length} members are listed`
}

async function expectRefused(client: string, request: Promise<unknown>): Promise<void> {
  const result = await request.then(() => 'it got a response', describeError)
  expect(REFUSED.test(result), `${client} was not refused: ${result}`)
}

async function checkHealth(member: ClusterMember): Promise<string> {
  const health = (await runCommand(member, 'health')).trim()
  parseJson(health, z.record(z.string(), z.unknown()))
  const members = await runCommand(member, 'members')
  expect(members.includes(member.name), `\`etcd members\` does not list ${member.name}: ${members}`)
  return health
}

async function checkDataDisk({ clone }: ClusterMember): Promise<string> {
  const mounted = await clone.agent.shell(
    'findmnt --noheadings --raw --output SOURCE,LABEL,FSTYPE --target /var/lib/etcd/data && findmnt --noheadings --output SOURCE /',
  )
  const [data = '', root = ''] = mounted.trim().split('\n')
  const [device = '', label, fileSystem] = data.split(' ')
  expect(
    label === DATA_LABEL,
    `the data is on ${device} with the label ${label || 'none'}, not ${DATA_LABEL}`,
  )
  expect(device !== root.trim(), `the data is on ${device}, which is also /`)
  return `${device}, ${fileSystem}, found by its label ${label}`
}

async function checkSnapshot(bed: EtcdTestBed, member: ClusterMember): Promise<string> {
  const before = await bed.client.status(member.address, REQUEST_TIMEOUT_MS)
  await runCommand(member, 'snapshot')
  const { agent } = member.clone
  const newest = (await agent.shell('ls -t /var/lib/etcd/snapshots/*.db | head -n 1')).trim()
  const mode = (await agent.output(['/usr/bin/stat', '--format=%a %U', newest])).trim()
  expect(/^[0-7]00 etcd$/.test(mode), `${newest} is ${mode}: it holds every secret of the cluster`)
  const output = await agent.shell(
    `tool=$(command -v etcdutl || command -v etcdctl); "$tool" snapshot status '${newest}' --write-out=json 2>/dev/null`,
  )
  const status = parseJson(output, snapshotStatus)
  expect(
    status.revision >= before.revision,
    `the snapshot has revision ${status.revision}; the cluster had ${before.revision} before it`,
  )
  const timer = await unitState(agent, 'seeder-etcd-snapshot.timer')
  expect(timer === 'active', `the timer of the hourly snapshots is ${timer}`)
  return `${newest.split('/').at(-1)}: revision ${status.revision}, ${status.totalKey} keys; the timer is active`
}

async function checkIdempotent({ clone }: ClusterMember): Promise<string> {
  const { agent } = clone
  const state = async () => {
    const process = await agent.shell('systemctl show --property=MainPID --value etcd.service')
    return `${process.trim()} ${(await agent.shell('cat /var/lib/etcd/seeder-member')).trim()}`
  }
  const before = await state()
  const status = await repeatFirstBoot(agent)
  // A service that first boot restarted may still be starting.
  await sleep(500)
  expectReady(status)
  const after = await state()
  expect(before === after, `run again, first boot changed a running member: ${before} became ${after}`)
  return `run again on a running member, it reports: ${status.reason}`
}
