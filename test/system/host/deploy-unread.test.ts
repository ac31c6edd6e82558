import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { HostResult, PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { configsOf, deploy, deployScript, inventory, tagged } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'
import { PreparedHost } from '../../support/deploy/prepared.ts'

/** deploy.sh when nobody reads what it says: what was begun goes on to its end. */
const root = await testFolder('deploy unread')
let images: SmallImage[]
/** A host with the first image. */
let prepared: PreparedHost
let host: PveHost
let deployed: string

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1'].map((version) => makeSmallImage(join(root, version), { version })),
  )
  prepared = await PreparedHost.make(join(root, 'host'), ['--storage', 'local', folder(0)])
  deployed = (await prepared.and(next)).inventory
})
beforeEach(async () => {
  host = await prepared.start()
  return () => host.remove()
})
afterAll(async () => {
  await prepared.remove()
  await rm(root, { recursive: true, force: true })
})

const folder = (index: number) => images[index]?.folder ?? ''
const next = ['--storage', 'local', '--verbose', '--json', join(root, '3.0.12-1')]

/** Runs a shell's line on the host, whose arguments are deploy.sh's command line. */
function line(text: string, argv: readonly string[] = next): Promise<HostResult> {
  return host.run(['bash', '-c', text, 'bash', deployScript, ...argv])
}

test.each([
  ['as it is', ''],
  ['ignored', '--ignore-signal=PIPE'],
])('a reader that goes away in the middle, with SIGPIPE %s', async (_, option) => {
  await host.faults.set({ kind: 'pause', when: 'before', match: '^qm set 9001 --efidisk0', at: 1 })
  const child = host.spawn([
    'env',
    ...(option === '' ? ['--default-signal=PIPE'] : [option]),
    deployScript,
    ...next,
  ])
  const closed = new Promise<number | null>((end) => child.on('exit', end))
  child.stdin?.end()
  await host.faults.paused()
  child.stderr?.destroy()
  child.stdout?.destroy()
  await host.faults.release()
  expect(await closed).toBe(0)
  expect(await inventory(host)).toBe(deployed)
})

test.each([
  ['a full disk', '"$@" 2>/dev/full >/dev/full'],
  ['closed descriptors', '"$@" 2>&- >&- <&-'],
  [
    'a pipe that nobody empties',
    'mkfifo /run/full; exec 3<>/run/full; timeout 2 cat /dev/zero >&3; "$@" 2>&3',
  ],
])('messages to %s', async (_, text) => {
  const { code } = await line(text)
  expect(code).toBe(0)
  expect(await inventory(host)).toBe(deployed)
})

test('a failure is undone, whether anybody reads the messages or not', async () => {
  const before = await inventory(host)
  for (const text of ['"$@" 2>/dev/full', '"$@" 2>&-', '"$@" 2> >(exit 0)']) {
    await host.faults.set({ kind: 'no-space', match: '^qm set', at: 1 })
    expect((await line(text)).code).toBe(1)
    await host.faults.clear()
    expect(await inventory(host)).toBe(before)
  }
})

test('an interrupted deploy is finished, and old templates are retired, in silence', async () => {
  await host.faults.set({ kind: 'kill', when: 'before', match: '^qm set 9001 --tags', at: 1 })
  expect((await deploy(host, next)).code).toBe(137)
  await host.faults.clear()
  expect((await line('"$@" 2>&-', ['--recover'])).code).toBe(0)
  expect(await tagged(host, 'current')).toEqual([9001])
  expect((await line('"$@" 2>/dev/full', ['--retire', '--keep', '1'])).code).toBe(0)
  expect([...(await configsOf(host)).keys()]).toEqual([9001])
})

test('a result that cannot be printed is reported, and a list that cannot be printed is a failure', async () => {
  const unprinted = await line('"$@" >/dev/full')
  expect([unprinted.code, unprinted.stderr]).toEqual([
    0,
    expect.stringContaining('deploy: the result could not be printed; all was done'),
  ])
  for (const argv of [['--list'], ['--list', '--json'], ['--check'], ['--check', '--json'], ['--help']]) {
    for (const text of ['"$@" >/dev/full', '"$@" >&-']) expect((await line(text, argv)).code).toBe(1)
  }
})
