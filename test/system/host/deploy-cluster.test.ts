import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { FaultMoment } from '../../stand-ins/proxmox/fault.ts'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { deploy, deployScript, inventory, mustDeploy } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'
import { PreparedHost } from '../../support/deploy/prepared.ts'

/**
 * /etc/pve is empty while pve-cluster restarts, as every upgrade has it. deploy.sh concludes nothing from that: it waits,
 * and when that takes too long it stops with its journal open.
 */
const root = await testFolder('deploy cluster')
let images: SmallImage[]
let host: PveHost
/** deploy.sh with less patience. */
let hasty: string
/** A host with the first image, with the second one as well, and with that one alone, as retiring leaves it. */
let before: PreparedHost
let deployed: PreparedHost
let retired: string

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1'].map((version) => makeSmallImage(join(root, version), { version })),
  )
  hasty = join(root, 'hasty.sh')
  const script = await readFile(deployScript, 'utf8')
  await writeFile(hasty, script.replace(/^readonly CLUSTER_SECONDS=.*$/m, 'readonly CLUSTER_SECONDS=2'), {
    mode: 0o755,
  })
  before = await PreparedHost.make(join(root, 'host'), ['--storage', 'local', folder(0)])
  deployed = await before.and(next())
  retired = (await deployed.and(retire)).inventory
})
afterEach(() => host?.remove())
afterAll(async () => {
  await before.remove()
  await rm(root, { recursive: true, force: true })
})

const folder = (index: number) => images[index]?.folder ?? ''
const next = () => ['--storage', 'local', folder(1)]
const retire = ['--retire', '--keep', '1']

test.each<[string, FaultMoment]>([
  ['^qm destroy', 'before'],
  ['^qm destroy', 'middle'],
  ['^qm destroy', 'late'],
  ['^qm destroy', 'after'],
  ['^pvesm list', 'before'],
  ['^pvesm status', 'after'],
])(
  'retiring, with the cluster’s file system away at %s, %s, leaves nothing that nobody knows',
  async (match, when) => {
    host = await deployed.start()
    await host.faults.set({ kind: 'cluster-gone', seconds: 3, when, match, at: 1 })
    const { code, stderr } = await deploy(host, retire)
    await host.restoreCluster()
    await host.faults.clear()
    expect(code, stderr).toBe(0)
    expect(stderr).toContain('waiting for it')
    expect(await inventory(host), stderr).toBe(retired)
  },
)

test.each<[string, FaultMoment]>([
  ['^pvesm status', 'before'],
  ['^qm create', 'before'],
  ['^qm create', 'after'],
  ['^qm set 9001 --efidisk0', 'before'],
  ['^qm set 9001 --efidisk0', 'middle'],
  ['^qm template', 'middle'],
  ['^qm set 9001 --tags', 'before'],
  ['^qm set 9000 --tags', 'after'],
])('a deploy, with it away at %s, %s, is done, undone, or finished by the next run', async (match, when) => {
  host = await before.start()
  await host.faults.set({ kind: 'cluster-gone', seconds: 3, when, match, at: 1 })
  const { code, stderr } = await deploy(host, next())
  await host.restoreCluster()
  await host.faults.clear()
  expect(stderr).toContain('waiting for it')
  if (code !== 0 && stderr.includes('it is undone, nothing has changed')) {
    expect(await inventory(host), stderr).toBe(before.inventory)
  }
  const again = code === 0 ? undefined : await mustDeploy(host, next())
  expect(await inventory(host), `${stderr}--\n${again?.stderr}`).toBe(deployed.inventory)
})

test.each<[string, string, () => string[], string]>([
  ['a deploy', 'undone', next, '^qm set 9001 --efidisk0'],
  ['retiring', 'finished', () => retire, '^qm destroy'],
])(
  '%s stops with its journal open when it does not come back, and is %s later',
  async (what, _end, argv, match) => {
    host = await (what === 'retiring' ? deployed : before).start()
    await host.faults.set({ kind: 'cluster-gone', when: 'middle', match, at: 1 })
    const { code, stderr } = await host.run([hasty, ...argv()])
    expect(code).toBe(1)
    expect(stderr).toContain('waited 2 s for /etc/pve/local')
    expect(stderr).toMatch(/deploy.sh --recover will try again|or by deploy.sh --recover$/m)
    expect(stderr).not.toContain('nothing has changed')
    await host.faults.clear()
    // Neither does the next run conclude anything.
    const blind = await host.run([hasty, '--recover'])
    expect([blind.code, blind.stderr]).toEqual([1, expect.stringContaining('waited 2 s for /etc/pve/local')])
    await host.restoreCluster()
    const { stderr: found } = await mustDeploy(host, ['--recover'])
    expect(await inventory(host), `${stderr}--\n${found}`).toBe(
      what === 'retiring' ? retired : before.inventory,
    )
  },
)

test.each(['--list', '--check'])('%s waits for it', async (verb) => {
  host = await before.start()
  await host.loseCluster()
  const child = host.spawn([deployScript, verb, '--json'])
  const [stdout, waiting] = [child.stdout, child.stderr]
  if (!stdout || !waiting) throw new Error('it has no output')
  const printed = text(stdout)
  const [said] = await once(waiting.setEncoding('utf8'), 'data')
  expect(said).toContain('/etc/pve is not there, as when pve-cluster restarts; waiting for it')
  await host.restoreCluster()
  expect(JSON.parse(await printed).templates).toEqual([expect.objectContaining({ vmid: 9000 })])
})

test('a file system that is away while the folder is read, and back at its end, hides nothing', async () => {
  const script = await readFile(deployScript, 'utf8')
  const [beginning, end] = ['  for file in nodes/*/', '  [[ -L local && -n $NODE ]]']
  const away = 'if [[ ! -e /run/bent ]]; then umount --lazy /etc/pve; fi'
  const back = 'if [[ ! -e /run/bent ]]; then : >/run/bent; mount --bind /run/stand-in-cluster /etc/pve; fi'
  const bent = script.replace(beginning, `${away}\n${beginning}`).replace(end, `${back}\n${end}`)
  expect(bent.split('/run/bent').length).toBe(4)
  const file = join(root, 'bent.sh')
  await writeFile(file, bent, { mode: 0o755 })
  host = await before.start()
  const { code, stdout } = await host.run([file, '--list', '--json'])
  expect([code, JSON.parse(stdout).templates]).toEqual([0, [expect.objectContaining({ vmid: 9000 })]])
})
