/**
 * Bundles each entry of src/ with its dependencies into dist/, which is committed, so that a checkout runs without
 * an installation; and beside the command line the script and style of its pages. The bytes depend on the sources and
 * package-lock.json only, not on the folder or the time.
 *
 *   node scripts/bundle.ts            writes dist/
 *   node scripts/bundle.ts --check    writes nothing; exit status 1 and the stale files if dist/ is not what it would write
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import ncc from '@vercel/ncc'
import { describeError, SeederError } from '../src/report/error.ts'
import { collectLicenses } from './licenses.ts'
import { makePageAssets } from './page-assets.ts'

/** One bundle: the module it starts from and the folder it fills, both relative to the checkout. */
interface Entry {
  readonly source: string
  readonly folder: string
  /** Whether the folder also gets the script and the style of pages: both programs read them there. */
  readonly page: boolean
}

const CHECKOUT = path.resolve(import.meta.dirname, '..')
const DIST = 'dist'
/** As in package.json, `engines`. */
const OLDEST_NODE = 24
const ENTRIES: readonly Entry[] = [
  { source: 'src/cli.ts', folder: 'cli', page: true },
  { source: 'src/action.ts', folder: 'action', page: false },
]

/** What Node.js starts. It is written so that a Node.js of any age can read it and say that it is too old. */
const ENTRY = `const found = process.versions.node
if (Number(found.split('.')[0]) < ${OLDEST_NODE}) {
  console.error('seeder needs Node.js ${OLDEST_NODE} or newer; this is ' + found)
  console.error('  → start scripts/seeder, which has its own, or install a newer Node.js')
  process.exit(1)
}
import('./main.js')
`

/** Bundles the entries of a checkout into `dist`, an absolute path; each entry's folder is emptied first. */
async function writeBundles(checkout: string, entries: readonly Entry[], dist: string): Promise<void> {
  const bundles = await Promise.allSettled(
    entries.map(({ source }) => bundleBeside(path.join(checkout, source))),
  )
  for (const [index, entry] of entries.entries()) {
    const made = bundles[index]
    if (made?.status !== 'fulfilled') throw made?.reason
    const folder = path.join(dist, entry.folder)
    await rm(folder, { recursive: true, force: true })
    const files = made.value
    if (entry.page) {
      const { script, style } = await makePageAssets(checkout)
      files.set('page.js', script).set('page.css', style)
    }
    for (const [file, content] of files) {
      await mkdir(path.dirname(path.join(folder, file)), { recursive: true })
      await writeFile(path.join(folder, file), content)
    }
  }
}

type Files = Map<string, string | Uint8Array>

/** Bundles an entry in a thread of its own: each keeps one processor busy for half a minute. */
function bundleBeside(source: string): Promise<Files> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: source })
    worker.once('message', resolve)
    // Without the cause: its stack contains ncc itself, a line of three megabytes.
    worker.once('error', ({ message }: Error) =>
      reject(new SeederError(`bundling ${source} failed: ${message}`)),
    )
    worker.once('exit', (code) =>
      reject(new SeederError(`bundling ${source} failed: its thread ended with ${code}`)),
    )
  })
}

async function bundle(source: string): Promise<Files> {
  const { code, assets } = await ncc(source, {
    // The output must not depend on a cache.
    cache: false,
    minify: false,
    license: 'LICENSE',
    esm: true,
    quiet: true,
  })
  const files: Files = new Map([
    ['index.js', ENTRY],
    ['main.js', code],
  ])
  for (const [file, asset] of Object.entries(assets)) files.set(file, asset.source)
  // With several chunks the bundler lists the licences of the last chunk only.
  if ([...files.keys()].some((file) => file.endsWith('.index.js'))) {
    files.set('LICENSE', await collectLicenses(CHECKOUT))
  }
  // Otherwise the nearest package.json above determines the module type of the bundle.
  files.set('package.json', `${JSON.stringify({ type: 'module' }, null, 2)}\n`)
  return files
}

/** Files that differ between two folders, or are in one only; sorted relative paths. */
async function differingFiles(left: string, right: string): Promise<string[]> {
  const names = new Set([...(await filesBelow(left)), ...(await filesBelow(right))])
  const differing: string[] = []
  for (const name of names) {
    const [a, b] = await Promise.all([left, right].map((folder) => readIfThere(path.join(folder, name))))
    if (!a || !b || !a.equals(b)) differing.push(name)
  }
  return differing.sort()
}

async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(ifMissing([]))
  return found
    .filter((at) => at.isFile())
    .map((at) => path.relative(folder, path.join(at.parentPath, at.name)))
}

function readIfThere(file: string): Promise<Buffer | undefined> {
  return readFile(file).catch(ifMissing(undefined))
}

function ifMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return value
    throw error
  }
}

/** The stale files of `dist`, relative to it: what `writeBundles` would change there. */
async function staleFiles(checkout: string, entries: readonly Entry[], dist: string): Promise<string[]> {
  const fresh = await mkdtemp(path.join(tmpdir(), 'seeder-bundle-'))
  try {
    await writeBundles(checkout, entries, fresh)
    return await differingFiles(dist, fresh)
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}

async function main(argv: readonly string[]): Promise<number> {
  // ncc names modules and picks licences relative to the working directory.
  process.chdir(CHECKOUT)
  const dist = path.join(CHECKOUT, DIST)
  if (argv.length === 0) {
    await writeBundles(CHECKOUT, ENTRIES, dist)
    return 0
  }
  if (argv.length !== 1 || argv[0] !== '--check') {
    console.error('usage: node scripts/bundle.ts [--check]')
    return 2
  }
  const stale = await staleFiles(CHECKOUT, ENTRIES, dist)
  for (const file of stale) console.error(`stale: ${path.join(DIST, file)}`)
  if (stale.length > 0) console.error('  → run `npm run build` and commit dist/')
  return stale.length === 0 ? 0 : 1
}

if (!isMainThread) {
  parentPort?.postMessage(await bundle(workerData))
} else if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(describeError(error))
    return 1
  })
}
