import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PveHost } from '../stand-ins/proxmox/host.ts'
import { testFolder } from '../support/builds.ts'
import { deploy, inventory, mustDeploy, startHost, tagged } from '../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../support/deploy/image.ts'
import { killAt, killPoints, loseClusterAt } from '../support/deploy/kill.ts'

/**
 * The kill matrix: deploy.sh is killed before and after each of its actions, and run again. The result has to be that of
 * an undisturbed run, and a template has to be usable at the time of the kill. At the same points /etc/pve disappears for
 * a while, as when pve-cluster restarts. A run of all tests kills at every fourth point, and takes /etc/pve away at every
 * third point of retiring, which risks most, and at fewer points of the others; `npm run test:matrix` uses every point.
 */
const stride = Number(process.env.KILL_STRIDE ?? 4)
const loseStride = (usual: number) => Number(process.env.KILL_STRIDE ?? usual)
const root = await testFolder('deploy crash')
let images: SmallImage[]
/** They share the points. */
let hosts: PveHost[]

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1', '3.0.13-1'].map((version) => makeSmallImage(join(root, version), { version })),
  )
  hosts = await Promise.all([1, 2].map((number) => startHost(join(root, `host-${number}`))))
  for (const host of hosts) {
    await mustDeploy(host, [...onLocal, folder(0)])
    await mustDeploy(host, [...onLocal, folder(1)])
    await save(host, 'two')
  }
})
afterAll(async () => {
  await Promise.all(hosts.map((host) => host.remove()))
  await rm(root, { recursive: true, force: true })
})

const folder = (index: number) => images[index]?.folder ?? ''
const onLocal = ['--storage', 'local', '--keep', '2']

const kept = ['/etc/pve/nodes', '/etc/pve/priv', '/var/lib/vz', '/var/lib/seeder', '/dev/pve', '/dev/zvol']

/** Saves the state of a host under a name. */
async function save(host: PveHost, name: string): Promise<void> {
  const script = `mkdir -p "/var/lib/saved/$0"; for path; do mkdir -p "/var/lib/saved/$0$path"; [ ! -e "$path" ] || cp -a "$path/." "/var/lib/saved/$0$path"; done`
  const { code, stderr } = await host.run(['sh', '-euc', script, name, ...kept])
  if (code !== 0) throw new Error(stderr)
}

/** Restores the state of a host from `save`. */
async function restore(host: PveHost, name: string): Promise<void> {
  const script = `for path; do chattr -R -f -i "$path" || :; find "$path" -mindepth 1 -delete; cp -a "/var/lib/saved/$0$path/." "$path"; done`
  const { code, stderr } = await host.run(['sh', '-euc', script, name, ...kept])
  if (code !== 0) throw new Error(stderr)
}

/** Ages a lock of the cluster that the killed run took but did not record, so that it counts as abandoned. */
async function letLockAge(host: PveHost): Promise<void> {
  const script = '[ -e "$1" ] || [ ! -d "$0" ] || touch -d "3 minutes ago" "$0"'
  await host.run(['sh', '-c', script, '/etc/pve/priv/lock/seeder-deploy', '/var/lib/seeder/cluster-lock'])
}

/** At any time a template has the tag, is in the ledger, and its disk has the digest of the ledger. */
async function expectUsable(host: PveHost): Promise<void> {
  const usable = await Promise.all(
    (await tagged(host, 'current')).map(async (vmid) => {
      const script = `. /var/lib/seeder/templates/$0 && head -c "$RAW_SIZE" "$(pvesm path "$VOLUME")" | sha256sum | grep -q "^$RAW_SHA256 "`
      return (await host.run(['sh', '-c', script, String(vmid)])).code === 0
    }),
  )
  expect(usable).toContain(true)
}

/** Kills a run of deploy.sh at each point, runs it again, and compares. Returns the number of points. */
async function killEverywhere(start: string, argv: readonly string[]): Promise<number> {
  const [first] = hosts
  if (!first) throw new Error('there is no host')
  await restore(first, start)
  const numbers = await killPoints(first, argv)
  const undisturbed = await inventory(first)
  const left = numbers.filter((_, index) => index % stride === 0)
  const share = async (host: PveHost) => {
    for (let number = left.shift(); number !== undefined; number = left.shift()) {
      await restore(host, start)
      const killed = await killAt(host, number, argv)
      expect(killed.code, `point ${number}: ${killed.stderr}`).toBe(137)
      await expectUsable(host)
      await letLockAge(host)
      const again = await deploy(host, argv)
      const output = `after point ${number}: ${killed.stderr}\n--\n${again.stderr}`
      expect(again.code, output).toBe(0)
      expect(await inventory(host), output).toBe(undisturbed)
    }
  }
  await Promise.all(hosts.map(share))
  return numbers.length
}

/**
 * Takes /etc/pve away at each point of a run. The run succeeds, or undoes its changes, or the next run completes them.
 * Returns the number of points.
 */
async function loseEverywhere(start: string, argv: readonly string[], every: number): Promise<number> {
  const [first] = hosts
  if (!first) throw new Error('there is no host')
  await restore(first, start)
  const before = await inventory(first)
  const numbers = await killPoints(first, argv)
  const undisturbed = await inventory(first)
  const left = numbers.filter((_, index) => index % every === 0)
  const share = async (host: PveHost) => {
    for (let number = left.shift(); number !== undefined; number = left.shift()) {
      await restore(host, start)
      const run = await loseClusterAt(host, number, argv)
      await host.restoreCluster()
      const output = `at point ${number}: ${run.stderr}`
      expect([0, 1], output).toContain(run.code)
      if (run.stderr.includes('nothing has changed')) expect(await inventory(host), output).toBe(before)
      await expectUsable(host)
      const again = run.code === 0 ? undefined : await deploy(host, argv)
      expect(again?.code ?? 0, `${output}\n--\n${again?.stderr}`).toBe(0)
      expect(await inventory(host), `${output}\n--\n${again?.stderr}`).toBe(undisturbed)
    }
  }
  await Promise.all(hosts.map(share))
  return numbers.length
}

test(
  'a deploy that is killed at any point',
  async () => {
    const points = await killEverywhere('two', [...onLocal, folder(2)])
    console.log(`killed a deploy at one in ${stride} of ${points} points`)
    expect(points).toBeGreaterThan(60)
  },
  20 * 60_000,
)

test(
  'a rollback and retiring that are killed at any point',
  async () => {
    const rollback = await killEverywhere('two', ['--rollback', 'haproxy', '3.0.11-1'])
    const retire = await killEverywhere('two', ['--retire', '--keep', '1'])
    console.log(`killed a rollback at one in ${stride} of ${rollback} points, retiring of ${retire}`)
    expect(rollback).toBeGreaterThan(10)
    expect(retire).toBeGreaterThan(10)
  },
  10 * 60_000,
)

test(
  'the cluster’s file system disappears at any point of a deploy, a rollback, and retiring',
  async () => {
    const points = [
      await loseEverywhere('two', [...onLocal, folder(2)], loseStride(29)),
      await loseEverywhere('two', ['--rollback', 'haproxy', '3.0.11-1'], loseStride(11)),
      await loseEverywhere('two', ['--retire', '--keep', '1'], loseStride(3)),
    ]
    console.log(`took /etc/pve away at some of ${points.join(', ')} points`)
    expect(Math.min(...points)).toBeGreaterThan(10)
  },
  20 * 60_000,
)
