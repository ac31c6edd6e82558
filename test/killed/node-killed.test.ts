import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Fault } from '../stand-ins/proxmox/fault.ts'
import { PveHost } from '../stand-ins/proxmox/host.ts'
import { Authority } from '../support/first-boot/etcd-certificates.ts'
import { copyHost, type HostState, hostState, playGuests, seederNode } from '../support/nodes/host.ts'
import { emptyDisk, makeTemplate } from '../support/nodes/template.ts'

/**
 * Kills `seeder node` before each change of a file and each command, after each command, and within `qm` itself. The same
 * command, run again, has to reach the state of an undisturbed run. The guests are simulated, so that nothing boots. A run
 * of all tests uses every eleventh point; `npm run test:matrix` uses every point, each with a host of its own.
 */
const killAt = join(import.meta.dirname, '../support/nodes/kill-at.ts')
const timeout = 40 * 60_000
/** The distance of the points that are used. No kind of point occurs at every eleventh place. */
const stride = Number(process.env.KILL_STRIDE ?? 11)
/** The number of hosts at a time: more than cores, because a host takes half of its time to start and stop. */
const lanes = 4

let root = ''
let empty: PveHost
const tls = () => join(root, 'tls')
const etcdFlags = () => ['--tls', tls(), '--set', 'ETCD_TOKEN=t']

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder killed '))
  await mkdir(tls())
  const ca = await Authority.make('etcd-ca')
  await writeFile(join(tls(), 'etcd-ca.crt'), ca.cert)
  for (const [index, name] of ['etcd1', 'etcd2', 'etcd3'].entries()) {
    const { cert, key } = await ca.issue(name, { names: `DNS:${name},IP:10.0.0.${129 + index}` })
    await writeFile(join(tls(), `${name}.crt`), cert)
    await writeFile(join(tls(), `${name}.key`), key)
  }
  await ca.dispose()
  empty = await PveHost.create(join(root, 'empty'))
  await empty.start()
  const disk = await emptyDisk(root)
  await makeTemplate(empty, { vmid: 9001, image: 'etcd', version: '3.7.2-1', disk })
  await makeTemplate(empty, { vmid: 9002, image: 'haproxy', version: '3.0.11-1', disk })
  await playGuests(empty)
  await empty.stop()
}, timeout)

afterAll(async () => {
  await empty.remove()
  await rm(root, { recursive: true, force: true })
})

/** A stopped host with nodes. */
async function hostWith(name: string, argv: readonly string[]): Promise<PveHost> {
  const host = await copyHost(empty, join(root, name))
  await host.start()
  const { code, stderr } = await seederNode(host, argv)
  expect(code, stderr).toBe(0)
  await host.stop()
  return host
}

/** Starts a host and its guests with onboot. */
async function switchOn(host: PveHost): Promise<void> {
  await host.start()
  for (const [vmid, text] of await host.configs()) {
    if (/^onboot: 1$/m.test(text)) await host.run(['qm', 'start', String(vmid)])
  }
}

interface Point {
  readonly name: string
  readonly env?: Readonly<Record<string, string>>
  readonly fault?: Fault
}

/** Commands that change nothing: a kill before or after them is no point of its own. */
const unchanging = /^(before|after) (pvesm|ping|ip|qm status|flock)\b|^open \/run\/lock|^mkdir|^rm .*partial$/

/** The points of a run, and its final state. */
async function undisturbed(from: PveHost, argv: readonly string[], name: string) {
  const host = await copyHost(from, join(root, name))
  const log = join(root, `${name}.log`)
  await switchOn(host)
  try {
    await host.faults.clear()
    const { code, stderr } = await seederNode(host, argv, {
      NODE_OPTIONS: `--import=${killAt}`,
      KILL_LOG: log,
    })
    expect(code, stderr).toBe(0)
    const lines = (await readFile(log, 'utf8')).trimEnd().split('\n')
    const own = lines.flatMap((line, index): Point[] =>
      unchanging.test(line)
        ? []
        : [{ name: line, env: { NODE_OPTIONS: `--import=${killAt}`, KILL_AT: String(index + 1) } }],
    )
    const calls = (await host.faults.calls()).map((words) => words.slice(0, 3).join(' '))
    const inside = (['clone', 'destroy'] as const).flatMap((verb) =>
      [...new Set(calls.filter((call) => call.startsWith(`qm ${verb} `)))].flatMap((call) =>
        (['middle', ...(verb === 'destroy' ? (['late'] as const) : [])] as const).flatMap((when) =>
          (['kill', 'power-cut'] as const).map(
            (kind): Point => ({
              name: `${kind} ${when} ${call}`,
              fault: { kind, when, at: 1, match: `^${call}` },
            }),
          ),
        ),
      ),
    )
    const cuts = [...new Set(calls.filter((call) => /^qm (clone|set|disk|destroy) /.test(call)))].map(
      (call): Point => ({
        name: `power-cut after ${call}`,
        fault: { kind: 'power-cut', when: 'after', at: 1, match: `^${call}` },
      }),
    )
    return { points: [...own, ...inside, ...cuts], state: await hostState(host) }
  } finally {
    await host.remove()
  }
}

/** Kills a run at a point, runs it again, and reads the state. */
async function killedAndRunAgain(from: PveHost, argv: readonly string[], point: Point, folder: string) {
  const host = await copyHost(from, folder)
  await switchOn(host)
  try {
    await host.faults.clear()
    if (point.fault) await host.faults.set(point.fault)
    const first = await seederNode(host, argv, point.env)
    if (point.fault?.kind === 'power-cut') await host.waitForPowerCut()
    if (first.code !== 137) throw new Error(`it was not killed: ${first.code} ${first.stderr}`)
    if (!host.running) await switchOn(host)
    await host.faults.clear()
    const again = await seederNode(host, argv)
    const state = await hostState(host)
    return { again, state }
  } finally {
    await host.remove()
  }
}

async function everyPoint(
  from: PveHost,
  argv: readonly string[],
  name: string,
  isOver: (state: HostState) => boolean,
) {
  const { points, state } = await undisturbed(from, argv, `${name} undisturbed`)
  const wrong: string[] = []
  const taken = [...points.entries()].filter(([index]) => index % stride === 0)
  const queue = [...taken]
  const lane = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [index, point] = next
      try {
        const found = await killedAndRunAgain(from, argv, point, join(root, `${name} ${index}`))
        expect(found.state).toEqual(state)
        // The second run may find that the first one had completed.
        if (found.again.code !== 0 && !isOver(state)) throw new Error(found.again.stderr)
      } catch (error) {
        wrong.push(`${point.name}: ${error instanceof Error ? error.message : error}`)
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  console.log(`${name}: killed at ${taken.length} of ${points.length} points, and run again`)
  expect(wrong).toEqual([])
  return points.length
}

const never = () => false

describe('killed at any point and run again', () => {
  it(
    '`create` of a cluster gives the same nodes',
    async () => {
      const argv = ['create', 'etcd1', 'etcd2', '--role', 'etcd', '--new-cluster', ...etcdFlags()]
      expect(await everyPoint(empty, argv, 'create', never)).toBeGreaterThan(50)
    },
    timeout,
  )

  it(
    '`destroy` leaves nothing',
    async () => {
      const argv = ['create', 'etcd1', 'etcd2', '--role', 'etcd', '--new-cluster', ...etcdFlags()]
      const host = await hostWith('cluster for destroy', argv)
      const isGone = ({ entries }: HostState) => Object.keys(entries).length === 0
      expect(
        await everyPoint(host, ['destroy', 'etcd1', 'etcd2', '--force'], 'destroy', isGone),
      ).toBeGreaterThan(20)
      await host.remove()
    },
    timeout,
  )

  it(
    '`replace` of a member of etcd gives the same cluster',
    async () => {
      const argv = ['create', 'etcd1', 'etcd2', '--role', 'etcd', '--new-cluster', ...etcdFlags()]
      const host = await hostWith('cluster for replace', argv)
      const replace = ['replace', 'etcd1', '--with', 'etcd3', ...etcdFlags()]
      expect(await everyPoint(host, replace, 'replace', never)).toBeGreaterThan(50)
      await host.remove()
    },
    timeout,
  )

  it(
    '`replace` of a load balancer gives the same pair',
    async () => {
      const host = await hostWith('pair', ['create', 'lb1', 'lb2', '--role', 'haproxy'])
      expect(await everyPoint(host, ['replace', 'lb2', '--with', 'lb3'], 'pair', never)).toBeGreaterThan(50)
      await host.remove()
      expect(existsSync(host.folder)).toBe(false)
    },
    timeout,
  )
})
