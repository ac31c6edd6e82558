import { lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleListName, bundleName } from '../build/bundle/format.ts'
import { openBundle } from '../build/bundle/open.ts'
import { type Manifest, manifestName, manifestSchema, qcow2Name } from '../build/manifest.ts'
import { publishOutput, requireUsableOutput } from '../build/output.ts'
import { SUMS_FILE } from '../build/sums.ts'
import { bundleCommand } from '../commands/bundle.ts'
import type { Context } from '../commands/context.ts'
import { evidenceNames } from '../evidence/names.ts'
import { parseJson } from '../files/json.ts'
import { makeRunFolder } from '../files/run-folder.ts'
import { readText } from '../files/text-file.ts'
import { loadImage, type Variant } from '../image/definition.ts'
import { readSource } from '../image/git.ts'
import { lockDigest, readLock } from '../image/lock.ts'
import { interruption } from '../process/interruption.ts'
import { MOST_BYTES } from '../release/format/asset-text.ts'
import { formatTag, type Tag } from '../release/format/tag.ts'
import { REPORT_FILE } from '../release/format/test-report.ts'
import { describeError, SeederError } from '../report/error.ts'
import { type ArtifactSettings, downloadArtifact, uploadFile } from './artifact.ts'

// One job builds, another has the signing key. Scripts of packages ran in the first job, so its artifacts are not trusted:
// image, version, lock and commit have to be those of the second job's own checkout.

/** The properties that the build must have, according to this job's checkout. */
export interface ExpectedBuild extends Tag {
  /** sha256 of its lock. */
  readonly lock: string
  /** The commit that the tag will be of. */
  readonly commit: string
}

/** Far above the size of any disk or bundle. */
const MAX_DISK_BYTES = 16 * 1024 ** 3
/** Of all small files, zipped. */
const MAX_SMALL_BYTES = 4 * MOST_BYTES

/**
 * Uploads a build's bundle: the machine that publishes has no package store. A build that was made on another machine has none,
 * which is noted; it can be published without a bundle.
 */
export async function uploadBundle(
  folder: string,
  manifest: Manifest,
  settings: ArtifactSettings & { readonly temporary: string },
  context: Context,
): Promise<void> {
  const out = join(settings.temporary, bundleName(manifest))
  try {
    await bundleCommand({ of: folder, out }, context, settings.env)
  } catch (error) {
    interruption.throwIfAborted()
    if (!(error instanceof SeederError)) throw error
    const [why] = describeError(error).split('\n')
    return context.progress().note(`no bundle is uploaded for a job that publishes: ${why}`)
  }
  await uploadFile(out, settings)
}

/**
 * The properties of a build of this checkout. Throws as `loadImage` and `readLock`.
 * @throws SeederError when the project is no git checkout
 */
export async function expectedBuild(
  project: string,
  image: string,
  variant: Variant,
): Promise<ExpectedBuild> {
  const lock = await readLock(await loadImage(project, image, variant))
  const { commit } = await readSource(project)
  if (commit !== null) return { image, version: lock.version, lock: lockDigest(lock), commit }
  throw new SeederError(`find the commit of ${image}: ${project} is no git checkout`, {
    fix: 'check the repository out in this job as well: actions/checkout',
  })
}

/**
 * Downloads a build that another job of this run has uploaded into `folder`, all of it or nothing, and the files of its bundle
 * into the package store.
 * @throws SeederError when an artifact does not exist, is too large, or is of another build than expected
 */
export async function downloadBuild(
  expected: ExpectedBuild,
  folder: string,
  { bundle, env }: { readonly bundle: boolean; readonly env: NodeJS.ProcessEnv },
  { cache }: Pick<Context, 'cache'>,
): Promise<void> {
  await requireUsableOutput(folder)
  const scratch = await makeRunFolder(join(cache, 'work'))
  const fetch = async (name: string, maxBytes: number, unzip: boolean) => {
    const into = join(scratch, name)
    await mkdir(into)
    await downloadArtifact(name, into, { maxBytes, unzip }, env)
    return into
  }
  try {
    const files = await smallFiles(await fetch(formatTag(expected), MAX_SMALL_BYTES, true), expected)
    const disk = qcow2Name(expected)
    files.set(disk, await onlyFile(await fetch(disk, MAX_DISK_BYTES, false), disk))
    if (bundle) {
      const name = bundleName(expected)
      const unpacked = join(scratch, 'unpacked')
      await mkdir(unpacked)
      // Files that the signed list does not name do no harm: each is stored under its own digest.
      await openBundle(await onlyFile(await fetch(name, MAX_DISK_BYTES, false), name), cache, unpacked, 'all')
    }
    await publishOutput(folder, files)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The small files of the build that are published, by name; other files are ignored. */
async function smallFiles(folder: string, expected: ExpectedBuild): Promise<Map<string, string>> {
  const names = [
    manifestName(expected),
    SUMS_FILE,
    'template.conf',
    REPORT_FILE,
    ...evidenceNames(expected),
    bundleListName(expected),
  ]
  const files = new Map<string, string>()
  for (const name of names) {
    // Publishing reports a missing file.
    const info = await lstat(join(folder, name)).catch(() => undefined)
    if (info === undefined) continue
    if (!info.isFile() || info.size > MOST_BYTES)
      throw refusedError(expected, `has a ${name} that is no small file`)
    files.set(name, join(folder, name))
  }
  requireExpected(expected, await readManifest(files.get(manifestName(expected)), expected))
  return files
}

/** @throws SeederError with the first property that differs */
function requireExpected(expected: ExpectedBuild, { image, version, lock, source }: Manifest): void {
  const found = { image, version, lock: lock.sha256, commit: source.commit }
  for (const what of ['image', 'version', 'lock', 'commit'] as const) {
    if (found[what] === expected[what]) continue
    throw refusedError(expected, `says ${what} ${found[what]}; here it is ${expected[what]}`)
  }
}

async function readManifest(file: string | undefined, expected: ExpectedBuild): Promise<Manifest> {
  if (file === undefined) throw refusedError(expected, `has no ${manifestName(expected)}`)
  try {
    return parseJson(await readText(file), manifestSchema)
  } catch (cause) {
    throw refusedError(expected, `has a ${manifestName(expected)} that cannot be read`, cause)
  }
}

/** The only file in a folder, whatever its name. */
async function onlyFile(folder: string, name: string): Promise<string> {
  const [entry, ...others] = await readdir(folder, { withFileTypes: true })
  if (entry?.isFile() && others.length === 0) return join(folder, entry.name)
  throw new SeederError(`the artifact ${name} is not one file`, { fix: 'check which job uploaded it' })
}

function refusedError(expected: Tag, found: string, cause?: unknown): SeederError {
  return new SeederError(`the artifact ${formatTag(expected)} ${found}`, {
    fix: 'publish in the run that built it, at the same commit; check what that job did',
    cause,
  })
}
