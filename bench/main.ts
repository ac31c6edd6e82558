/**
 * `npm run bench [-- --peers] [--json FILE]`: measures what this checkout does on this machine, and with --peers does
 * the same job with mkosi in the same run. Prints a table and JSON. With --deploy it measures deploy.sh
 * instead, with --release what goes to GitHub and comes from there, with --against DIR builds by this and another checkout. It is a benchmark and never fails on a number:
 * runs drift, so compare what one run measured side by side.
 */
import { appendFile, cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { execa } from 'execa'
import type { Manifest } from '../src/build/manifest.ts'
import { loadImage, requestedPackages } from '../src/image/definition.ts'
import { formatBytes, formatTable } from '../src/report/table.ts'
import { findEmulator } from '../src/vm/emulator.ts'
import { benchAgainst } from './against.ts'
import { bootToReady, cloudInitFinished } from './boot-time.ts'
import { benchDeploy } from './deploy.ts'
import { samplePeakMemory } from './memory.ts'
import { benchMkosi } from './peers/mkosi.ts'
import { benchRelease } from './release.ts'

/** Seconds and bytes of one tool. */
interface Row {
  tool: string
  coldSeconds: number
  editSeconds: number
  qcow2Bytes: number
  peakBytes: number
  bootSeconds: number
}

const { values: options } = parseArgs({
  options: {
    peers: { type: 'boolean' },
    deploy: { type: 'boolean' },
    release: { type: 'boolean' },
    against: { type: 'string' },
    json: { type: 'string' },
  },
})
const checkout = join(import.meta.dirname, '..')
const say = (line: string) => console.error(line)

const folder = join(tmpdir(), `seeder-bench-${process.pid}`)
await mkdir(folder)
try {
  if (options.deploy) {
    const out = join(folder, 'out')
    say('building the image')
    const { manifest } = await build(checkout, out, [])
    await benchDeploy(out, join(out, manifest.qcow2.file), await emptyFolder('hosts'))
  } else if (options.against !== undefined) {
    await benchAgainst(checkout, resolve(options.against), folder, say)
  } else if (options.release) {
    await benchRelease(folder)
  } else {
    const { row: seeder, details } = await benchSeeder()
    const rows = [seeder]
    if (options.peers) rows.push(await benchPeer())
    print(rows, details)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function benchSeeder(): Promise<{ row: Row; details: Record<string, unknown> }> {
  const project = join(folder, 'project')
  for (const name of ['images', 'platform.yaml'])
    await cp(join(checkout, name), join(project, name), { recursive: true })
  const out = join(folder, 'out')
  // Never the same twice: an earlier run's layers are still in the cache.
  const edit = `# edited ${Date.now()}\n`
  say('seeder: a first build, so that the packages are in the store')
  await build(project, out, [])
  say('seeder: cold build')
  const cold = await build(project, out, ['--no-cache'])
  say('seeder: build after an edit of a file below /etc')
  await appendFile(join(project, 'images/haproxy/tree/etc/haproxy/haproxy.cfg'), edit)
  const edited = await build(project, out, [])
  say('seeder: build after an edit of a file below /usr')
  await appendFile(join(project, 'images/haproxy/tree/usr/lib/seeder/role'), edit)
  const editUsr = await build(project, out, [])
  say('seeder: boot')
  const boot = await bootToReady({
    image: join(out, cold.manifest.qcow2.file),
    folder: await emptyFolder('boot-seeder'),
    emulator: await findEmulator(),
    markers: { cloudInit: cloudInitFinished, ready: /seeder-first-boot: ready/ },
    memoryMiB: 1024,
    cpus: 2,
    timeoutMs: 300_000,
  })
  return {
    row: {
      tool: 'seeder',
      coldSeconds: cold.seconds,
      editSeconds: edited.seconds,
      qcow2Bytes: cold.manifest.qcow2.size,
      peakBytes: cold.peakBytes,
      bootSeconds: boot.cloudInit / 1000,
    },
    details: {
      coldPhases: cold.manifest.timings,
      editUsrSeconds: editUsr.seconds,
      roleReadySeconds: boot.ready / 1000,
    },
  }
}

async function benchPeer(): Promise<Row> {
  const image = await loadImage(checkout, 'haproxy')
  const peer = await benchMkosi({ packages: requestedPackages(image), log: say })
  say('mkosi: boot')
  const boot = await bootToReady({
    image: peer.qcow2,
    folder: await emptyFolder('boot-mkosi'),
    emulator: await findEmulator(),
    markers: { cloudInit: cloudInitFinished },
    memoryMiB: 1024,
    cpus: 2,
    timeoutMs: 300_000,
  })
  const { coldSeconds, editSeconds, qcow2Bytes, peakBytes } = peer
  return {
    tool: peer.version,
    coldSeconds,
    editSeconds,
    qcow2Bytes,
    peakBytes,
    bootSeconds: boot.cloudInit / 1000,
  }
}

/** One build by the command line a user has, with its wall time and the peak memory of its whole process tree. */
async function build(
  project: string,
  out: string,
  more: readonly string[],
): Promise<{ seconds: number; peakBytes: number; manifest: Manifest }> {
  const started = Date.now()
  const argv = ['--quiet', '--project', project, 'build', 'haproxy', '--out', out, '--json', ...more]
  const running = execa(join(checkout, 'scripts', 'seeder'), argv)
  const sampler = samplePeakMemory(running.pid ?? 0)
  const { stdout } = await running
  const seconds = (Date.now() - started) / 1000
  return { seconds, peakBytes: await sampler.stop(), manifest: JSON.parse(stdout) as Manifest }
}

async function emptyFolder(name: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(path)
  return path
}

function print(rows: readonly Row[], details: Record<string, unknown>): void {
  const cells = (row: Row) => [
    row.tool,
    `${row.coldSeconds.toFixed(1)} s`,
    `${row.editSeconds.toFixed(1)} s`,
    formatBytes(row.qcow2Bytes),
    `${Math.round(row.peakBytes / 1024 / 1024)} MiB`,
    `${row.bootSeconds.toFixed(1)} s`,
  ]
  const table = rows.map(cells)
  const [ours, peer] = rows
  if (ours && peer) {
    const ratio = (key: keyof Omit<Row, 'tool'>) => (ours[key] / peer[key]).toFixed(2)
    table.push([
      'ratio',
      ratio('coldSeconds'),
      ratio('editSeconds'),
      ratio('qcow2Bytes'),
      ratio('peakBytes'),
      ratio('bootSeconds'),
    ])
  }
  const header = ['', 'cold build', 'config edit', 'qcow2', 'peak memory', 'boot to cloud-init’s end']
  console.log(formatTable(header, table))
  const json = JSON.stringify({ date: new Date().toISOString(), rows, seeder: details }, null, 2)
  console.log(json)
  if (options.json) void writeFile(options.json, `${json}\n`)
}
