/**
 * `npm run bench -- --deploy`: deploy.sh beside a bare `qm create` with the same disk, on a stand-in Proxmox VE host, in
 * turns. The stand-in's commands start faster than Proxmox VE's own, which take most of a second each; how many of them
 * each way runs is told, so that a reader can add that.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { formatTable } from '../src/report/table.ts'
import { deploy } from '../test/support/deploy/host.ts'
import { PveHost } from '../test/support/pve/host.ts'

const rounds = 5

interface Turn {
  readonly seconds: number
  readonly calls: number
}

/** Measures on each storage and prints a table. `image` is a build's folder, `scratch` an empty one. */
export async function benchDeploy(image: string, qcow2: string, scratch: string): Promise<void> {
  const rows: string[][] = []
  for (const storage of ['local', 'local-lvm', 'local-zfs']) {
    const bare: Turn[] = []
    const ours: Turn[] = []
    for (let round = 0; round < rounds; round++) {
      const host = await PveHost.create(join(scratch, `${storage}-${round}`))
      await host.start()
      try {
        bare.push(await bareImport(host, storage, qcow2))
        ours.push(await oneDeploy(host, storage, image))
      } finally {
        await host.remove()
      }
    }
    const [a, b] = [median(bare), median(ours)]
    rows.push([
      storage,
      `${a.seconds.toFixed(2)} s, ${a.calls} calls`,
      `${b.seconds.toFixed(2)} s, ${b.calls} calls`,
      (b.seconds / a.seconds).toFixed(2),
    ])
  }
  await rm(scratch, { recursive: true, force: true })
  console.log(formatTable(['storage', 'qm create … import-from', 'deploy.sh --no-smoke', 'ratio'], rows))
}

async function bareImport(host: PveHost, storage: string, qcow2: string): Promise<Turn> {
  return turn(host, async () => {
    const argv = ['qm', 'create', '8000', '--scsi0', `${storage}:0,import-from=${qcow2}`]
    const { code, stderr } = await host.run(argv)
    if (code !== 0) throw new Error(stderr)
  })
}

async function oneDeploy(host: PveHost, storage: string, image: string): Promise<Turn> {
  return turn(host, async () => {
    const argv = ['--storage', storage, '--no-smoke', '--allow-unsigned', image]
    const { code, stderr } = await deploy(host, argv)
    if (code !== 0) throw new Error(stderr)
  })
}

async function turn(host: PveHost, act: () => Promise<void>): Promise<Turn> {
  const before = (await host.faults.calls()).length
  const began = performance.now()
  await act()
  const seconds = (performance.now() - began) / 1000
  return { seconds, calls: (await host.faults.calls()).length - before }
}

function median(turns: readonly Turn[]): Turn {
  const sorted = turns.toSorted((a, b) => a.seconds - b.seconds)
  const middle = sorted[sorted.length >> 1]
  if (middle === undefined) throw new Error('nothing was measured')
  return middle
}
