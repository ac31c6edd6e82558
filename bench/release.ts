/**
 * `npm run bench -- --release`: publishes a build with a disk file of 2.5 GB, of which nearly all is a hole, to a local
 * GitHub, and downloads it as `seeder deploy` does; each of them once undisturbed, and once killed and run again. What is
 * measured is the process that does it, not the local GitHub, which is in this one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Manifest, templateConf } from '../src/build/manifest.ts'
import { loadPlatform } from '../src/platform/load.ts'
import { placesOf } from '../src/release/download/download-folder.ts'
import { formatBytes, formatTable } from '../src/report/table.ts'
import { sha256File } from '../src/store/digest.ts'
import { LocalGitHub } from '../test/stand-ins/github/local-github.ts'
import { makeTestedBuild } from '../test/support/release/tested-build.ts'
import { checkout } from '../test/support/seeder.ts'
import { samplePeakMemory } from './memory.ts'

const DISK_BYTES = 2_500_000_000

interface Turn {
  readonly seconds: number
  readonly peakBytes: number
  /** By signal it did not end by itself. */
  readonly killed: boolean
}

/** Measures and prints a table. `scratch` is an empty folder with room for 6 GB. */
export async function benchRelease(scratch: string): Promise<void> {
  const build = await makeBigBuild(join(scratch, 'build'))
  const rows: string[][] = []
  const row = (what: string, turns: readonly Turn[], bytes: number) => {
    const peak = Math.max(...turns.map(({ peakBytes }) => peakBytes))
    const seconds = turns.reduce((sum, turn) => sum + turn.seconds, 0)
    rows.push([what, `${seconds.toFixed(1)} s`, formatBytes(peak), formatBytes(bytes)])
  }
  await withGitHub(async (github) => {
    row('publish', [await publish(github, build)], transferred(github, 'upload'))
    const folder = join(scratch, 'downloads', tagOf(build))
    let since = github.requests.length
    row('download', [await download(github, folder)], transferred(github, 'download', since))
    await compare(build, folder)
    await rm(folder, { recursive: true })
    since = github.requests.length
    const first = await download(github, folder, () => hasHalf(folder, build))
    if (!first.killed) throw new Error('the download had ended before it was killed')
    const second = await download(github, folder)
    row('download, killed half-way, and again', [first, second], transferred(github, 'download', since))
    await compare(build, folder)
  })
  await withGitHub(async (github) => {
    const first = await publish(github, build, async () => transferred(github, 'upload') > DISK_BYTES / 2)
    if (!first.killed) throw new Error('the upload had ended before it was killed')
    const second = await publish(github, build)
    row('publish, killed half-way, and again', [first, second], transferred(github, 'upload'))
  })
  console.log(
    formatTable([`${formatBytes(DISK_BYTES)} in parts`, 'time', 'peak memory', 'transferred'], rows),
  )
}

/** A build whose disk is too large for one asset. */
async function makeBigBuild(folder: string): Promise<{ folder: string; manifest: Manifest }> {
  const small = await makeTestedBuild(folder, null)
  const disk = join(folder, small.manifest.qcow2.file)
  const handle = await open(disk, 'r+')
  await handle.truncate(DISK_BYTES)
  await handle.close()
  const qcow2 = { file: small.manifest.qcow2.file, size: DISK_BYTES, sha256: await sha256File(disk) }
  const manifest: Manifest = { ...small.manifest, qcow2 }
  const name = `${tagOf(small)}.manifest.json`
  await writeFile(join(folder, name), `${JSON.stringify(manifest, null, 2)}\n`)
  const platform = await loadPlatform(join(checkout, 'platform.yaml'))
  await writeFile(join(folder, 'template.conf'), templateConf(manifest, platform))
  const lines = [`${qcow2.sha256}  ${qcow2.file}`]
  for (const file of [name, 'template.conf']) lines.push(`${await sha256File(join(folder, file))}  ${file}`)
  await writeFile(join(folder, 'SHA256SUMS'), `${lines.join('\n')}\n`)
  return { folder, manifest }
}

function tagOf({ manifest }: { manifest: Manifest }): string {
  return `${manifest.image}-${manifest.version}`
}

async function withGitHub(work: (github: LocalGitHub) => Promise<void>): Promise<void> {
  const github = await LocalGitHub.start({ immutable: true })
  try {
    await work(github)
  } finally {
    await github.stop()
  }
}

function publish(
  github: LocalGitHub,
  build: { folder: string },
  until?: () => Promise<boolean>,
): Promise<Turn> {
  const commit = github.git.head()
  const argv = [
    join(checkout, 'src/cli.ts'),
    '--quiet',
    'publish',
    build.folder,
    '--unsigned',
    '--commit',
    commit,
  ]
  const env = {
    GITHUB_API_URL: github.apiUrl,
    GITHUB_REPOSITORY: github.repository,
    GITHUB_TOKEN: github.token(),
  }
  return turn(argv, env, until)
}

function download(github: LocalGitHub, folder: string, until?: () => Promise<boolean>): Promise<Turn> {
  const script = join(checkout, 'test/support/release/dying-fetch.ts')
  return turn([script, github.apiUrl, github.token({ contents: 'read' }), folder], {}, until)
}

/** Runs a program of this project, and kills it once `until` is true. */
async function turn(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  until: () => Promise<boolean> = async () => false,
): Promise<Turn> {
  const began = performance.now()
  const child = spawn(process.execPath, argv, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
  })
  const sampler = samplePeakMemory(child.pid ?? 0)
  const ended = ending(child)
  let running = true
  const watching = (async () => {
    while (running && !(await until())) await sleep(20)
    if (running) child.kill('SIGKILL')
  })()
  const { code, signal } = await ended
  running = false
  await watching
  const peakBytes = await sampler.stop()
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`${argv[0]} ended with ${code ?? signal}`)
  return { seconds: (performance.now() - began) / 1000, peakBytes, killed: signal === 'SIGKILL' }
}

function ending(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve({ code, signal }))
  })
}

/** Bytes of content that have gone to or come from GitHub. */
function transferred(github: LocalGitHub, on: 'upload' | 'download', since = 0): number {
  return github.requests
    .slice(since)
    .filter((request) => request.on === on)
    .reduce((sum, { bytes }) => sum + bytes, 0)
}

async function hasHalf(folder: string, { manifest }: { manifest: Manifest }): Promise<boolean> {
  const found = await stat(join(placesOf(folder).partial, manifest.qcow2.file)).catch(() => undefined)
  return (found?.blocks ?? 0) * 512 > DISK_BYTES / 2
}

async function compare(build: { folder: string; manifest: Manifest }, folder: string): Promise<void> {
  const { file, sha256 } = build.manifest.qcow2
  if ((await sha256File(join(folder, file))) !== sha256) throw new Error('the download is another file')
  const name = 'SHA256SUMS'
  const [ours, theirs] = await Promise.all(
    [build.folder, folder].map((one) => readFile(join(one, name), 'utf8')),
  )
  if (ours !== theirs) throw new Error('the download is of another build')
}
