import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { deploy, deployScript, inventory, mustDeploy, startHost, tagged } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'

/** What deploy.sh does without changing anything: plans, checks and lists take a place, and leave nothing. */
const root = await testFolder('deploy plan')
let images: SmallImage[]
let host: PveHost
let count = 0

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1'].map((version) => makeSmallImage(join(root, version), { version })),
  )
})
beforeEach(async () => {
  host = await startHost(join(root, `host-${count++}`))
  return () => host.remove()
})
afterAll(() => rm(root, { recursive: true, force: true }))

const plan = (index = 1) => ['--storage', 'local', '--dry-run', images[index]?.folder ?? '']
const real = (index = 1) => ['--storage', 'local', images[index]?.folder ?? '']

async function shell(script: string): Promise<string> {
  const { code, stdout, stderr } = await host.run(['sh', '-euc', script])
  if (code !== 0) throw new Error(stderr)
  return stdout
}

test('only one plan runs at a time, and none beside a deploy', async () => {
  await host.faults.set({ kind: 'pause', when: 'before', match: '^pvesm status', at: 1 })
  const first = deploy(host, plan())
  await host.faults.paused()
  for (const argv of [plan(), real()]) {
    const second = await deploy(host, argv)
    expect([second.code, second.stderr]).toEqual([
      75,
      expect.stringContaining('another deploy is at work on this host'),
    ])
  }
  // It is one of the first's, which goes on.
  expect(await shell('ls /var/lib/seeder/stage | wc -l')).toBe('1\n')
  await host.faults.release()
  expect((await first).code).toBe(0)
  expect(await shell('ls /var/lib/seeder/stage | wc -l')).toBe('0\n')
})

test.each([['--check'], ['--list']])('only one %s runs at a time', async (verb) => {
  await mustDeploy(host, real(0))
  // A list waits a little for another one: what holds the place here does so until the test ends.
  const held = host.spawn([
    'sh',
    '-c',
    `flock /var/lib/seeder/lock.${verb.slice(2)} sh -c 'echo held; exec cat'`,
  ])
  await new Promise((resolve) => held.stdout?.once('data', resolve))
  const second = await deploy(host, [verb])
  expect([second.code, second.stderr]).toEqual([
    75,
    expect.stringContaining(`another ${verb} is at work on this host`),
  ])
  // A deploy is not what it waits for, and neither waits for it.
  await mustDeploy(host, real(1))
  held.stdin?.end()
  await new Promise((resolve) => held.once('close', resolve))
  expect((await deploy(host, [verb])).code).toBe(0)
})

test('the copy of a plan that was killed is removed by the next run', async () => {
  // Not this machine's.
  await shell('mount -t tmpfs tmpfs /var/tmp')
  const leave = async () => {
    await host.faults.set({ kind: 'kill', when: 'before', match: '^pvesm status', at: 1 })
    expect((await deploy(host, plan())).code).toBe(137)
    await host.faults.clear()
    expect(await shell('ls /var/lib/seeder/stage/*/*.qcow2 | wc -l')).toBe('1\n')
    // As earlier versions left it; and what only has such a name.
    await shell(`cd /var/tmp; rm -rf seeder-plan.*; mkdir seeder-plan.aBcD1234 seeder-plan.somebody; touch seeder-plan.aBcD1234/x
      chown 1000 seeder-plan.somebody`)
  }
  for (const argv of [['--recover'], plan(), real()]) {
    await leave()
    await mustDeploy(host, argv)
    expect(await shell('ls -A /var/lib/seeder/stage; ls -d /var/tmp/seeder-plan.*')).toBe(
      '/var/tmp/seeder-plan.somebody\n',
    )
  }
})

test('a plan prints what recovery would do, and leaves the journal alone', async () => {
  await mustDeploy(host, real(0))
  const undisturbed = await inventory(host)
  const state =
    'cat /var/lib/seeder/journal; cat /etc/pve/nodes/*/qemu-server/*.conf; ls -R /var/lib/vz /etc/pve/priv/lock'

  await host.faults.set({ kind: 'kill', when: 'before', match: '^qm template', at: 1 })
  expect((await deploy(host, real())).code).toBe(137)
  await host.faults.clear()
  const broken = await shell(state)
  const planned = await deploy(host, plan())
  expect(planned.stderr).toMatch(
    /An interrupted deploy is found \(\S+Z\)\n.*undoes it: what is left of VM 9001 is removed/,
  )
  expect(await shell(state)).toBe(broken)
  await mustDeploy(host, ['--recover'])
  expect(await inventory(host)).toBe(undisturbed)

  await host.faults.set({ kind: 'kill', when: 'after', match: '^qm set 9001 --tags', at: 1 })
  expect((await deploy(host, real())).code).toBe(137)
  await host.faults.clear()
  expect((await deploy(host, plan(0))).stderr).toMatch(
    /An interrupted deploy is found \(\S+Z\)\n.* finishes it\n/,
  )
  await mustDeploy(host, ['--recover'])
  expect(await tagged(host, 'current')).toEqual([9001])
})

test('the space for the copy is checked before it is made', async () => {
  await mustDeploy(host, ['--recover'])
  await shell('mount -t tmpfs -o size=64m tmpfs /var/lib/seeder/stage')
  for (const argv of [plan(), real()]) {
    const { code, stderr } = await deploy(host, argv)
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /the copy of .*SHA256SUMS takes 1 MiB in \/var\/lib\/seeder\/stage, and 256 MiB stay free beside it; 64 MiB are free\n {2}→ make room/,
      ),
    ])
  }
  expect(await shell('ls -A /var/lib/seeder/stage')).toBe('')
})

test('a deploy beside a running one leaves that the lock of the cluster', async () => {
  await host.faults.set({ kind: 'pause', when: 'before', match: '^qm create', at: 1 })
  const first = deploy(host, real())
  await host.faults.paused()
  for (const argv of [plan(), real()]) expect((await deploy(host, argv)).code).toBe(75)
  expect(await shell('ls /etc/pve/priv/lock')).toBe('seeder-deploy\n')
  await host.faults.release()
  expect((await first).code).toBe(0)
  expect(await shell('ls /etc/pve/priv/lock')).toBe('')
})

test('a file whose file system never answers is given up', async () => {
  // The script as it is, with another patience.
  await shell(`sed 's/^readonly READ_SECONDS=60/readonly READ_SECONDS=1/' '${deployScript}' >/run/deploy.sh; chmod 755 /run/deploy.sh
    grep -q READ_SECONDS=1 /run/deploy.sh; mkdir /run/silent`)
  // Nobody answers the requests of the kernel to this file system.
  const mounted = host.spawn([
    'bash',
    '-c',
    'exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 silent /run/silent; echo mounted; exec cat',
  ])
  await new Promise((resolve) => mounted.stdout?.once('data', resolve))
  const { code, stderr } = await host.run([
    '/run/deploy.sh',
    '--storage',
    'local',
    '--dry-run',
    '/run/silent/image',
  ])
  expect([code, stderr]).toEqual([1, expect.stringContaining('there was no answer within 1 s')])
  mounted.stdin?.end()
  await new Promise((resolve) => mounted.once('close', resolve))
})
