import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleListName, bundleName } from '../build/bundle/format.ts'
import { openBundle } from '../build/bundle/open.ts'
import { type Manifest, manifestName, manifestSchema, qcow2Name } from '../build/manifest.ts'
import { publishOutput, requireUsableOutput } from '../build/output.ts'
import { readSource } from '../build/source.ts'
import { bundleCommand } from '../commands/bundle.ts'
import type { Context } from '../commands/context.ts'
import { evidenceNames } from '../evidence/names.ts'
import { makeRunFolder } from '../files/run-folder.ts'
import { loadImage, type Variant } from '../image/definition.ts'
import { lockDigest, readLock } from '../image/lock.ts'
import { interruption } from '../process/interruption.ts'
import { MOST_BYTES } from '../release/format/asset-text.ts'
import { SUMS_FILE } from '../release/format/sums.ts'
import { formatTag, type Tag } from '../release/format/tag.ts'
import { REPORT_FILE } from '../release/format/test-report.ts'
import { describeError, SeederError } from '../report/error.ts'
import { type ArtifactSettings, downloadArtifact, uploadFile } from './artifact.ts'

// A build on its way from the job that made it to the job that has the key. What packages bring ran in the first one, so all
// that comes from there is a claim: its name, version, lock and commit are those of the second job's own checkout, or it is refused.

/** What the build has to be, whatever it says of itself. */
export interface Expected extends Tag {
  /** sha256 of its lock. */
  readonly lock: string
  /** The commit that the tag will be of. */
  readonly commit: string
}

/** Bytes: no disk, and no bundle, comes near it. */
const MOST_OF_DISK = 16 * 1024 ** 3
/** Bytes of all small files, zipped. */
const MOST_OF_SMALL = 4 * MOST_BYTES

/**
 * Uploads a build's bundle: the machine that publishes has no package store. Of a build that was not made on this machine there
 * are no files to be had; it is said, and it can be published without them.
 */
export async function handOverBundle(
  folder: string,
  manifest: Manifest,
  temporary: string,
  settings: ArtifactSettings,
  context: Context,
): Promise<void> {
  const out = join(temporary, bundleName(manifest))
  try {
    await bundleCommand({ of: folder, out }, context, settings.env)
  } catch (error) {
    interruption.throwIfAborted()
    if (!(error instanceof SeederError)) throw error
    const [why] = describeError(error).split('\n')
    return context.progress().note(`its bundle is not left for a job that publishes: ${why}`)
  }
  await uploadFile(out, settings)
}

/** What a build of an image has to be here. Throws as `loadImage` and `readLock`, and SeederError where there is no commit. */
export async function expectedBuild(project: string, image: string, variant: Variant): Promise<Expected> {
  const lock = await readLock(await loadImage(project, image, variant))
  const { commit } = await readSource(project)
  if (commit !== null) return { image, version: lock.version, lock: lockDigest(lock), commit }
  throw new SeederError(`${project} is no git checkout, so nobody knows of which commit ${image} has to be`, {
    fix: 'check the repository out in this job as well: actions/checkout',
  })
}

/**
 * Fetches a build that another job of this run has left as artifacts into `folder`, all of it or nothing, and the files of
 * its bundle into the package store.
 * Throws SeederError when an artifact is not there, is too big, or is not of the build that is expected.
 */
export async function takeOver(
  expected: Expected,
  folder: string,
  { bundle, env }: { readonly bundle: boolean; readonly env: NodeJS.ProcessEnv },
  { cache }: Pick<Context, 'cache'>,
): Promise<void> {
  await requireUsableOutput(folder)
  const scratch = await makeRunFolder(join(cache, 'work'))
  const fetch = async (name: string, most: number, unzip: boolean) => {
    const into = join(scratch, name)
    await mkdir(into)
    await downloadArtifact(name, into, { most, unzip }, env)
    return into
  }
  try {
    const files = await smallFiles(await fetch(formatTag(expected), MOST_OF_SMALL, true), expected)
    const disk = qcow2Name(expected)
    files.set(disk, await onlyFile(await fetch(disk, MOST_OF_DISK, false), disk))
    if (bundle) {
      const name = bundleName(expected)
      const unpacked = join(scratch, 'unpacked')
      await mkdir(unpacked)
      // It may bring more files than the signed list names; each is kept by its own digest, and nobody looks for others.
      await openBundle(await onlyFile(await fetch(name, MOST_OF_DISK, false), name), cache, unpacked, 'all')
    }
    await publishOutput(folder, files)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The files of the build that are published, by name; whatever else came along stays behind. */
async function smallFiles(folder: string, expected: Expected): Promise<Map<string, string>> {
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
    // What is missing is found by whoever reads the build.
    const info = await lstat(join(folder, name)).catch(() => undefined)
    if (info === undefined) continue
    if (!info.isFile() || info.size > MOST_BYTES)
      throw refused(expected, `has a ${name} that is no small file`)
    files.set(name, join(folder, name))
  }
  requireExpected(expected, await readManifest(files.get(manifestName(expected)), expected))
  return files
}

/** Throws SeederError with the first that is not as it has to be. */
function requireExpected(expected: Expected, { image, version, lock, source }: Manifest): void {
  const found = { image, version, lock: lock.sha256, commit: source.commit }
  for (const what of ['image', 'version', 'lock', 'commit'] as const) {
    if (found[what] === expected[what]) continue
    throw refused(expected, `says ${what} ${found[what]}; here it is ${expected[what]}`)
  }
}

async function readManifest(file: string | undefined, expected: Expected): Promise<Manifest> {
  if (file === undefined) throw refused(expected, `has no ${manifestName(expected)}`)
  try {
    return manifestSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (cause) {
    throw refused(expected, `has a ${manifestName(expected)} that cannot be read`, cause)
  }
}

/** The one plain file in a folder, whatever it is called there. */
async function onlyFile(folder: string, name: string): Promise<string> {
  const [entry, ...others] = await readdir(folder, { withFileTypes: true })
  if (entry?.isFile() && others.length === 0) return join(folder, entry.name)
  throw new SeederError(`the artifact ${name} is not one file`, { fix: 'see which job has uploaded it' })
}

function refused(expected: Tag, found: string, cause?: unknown): SeederError {
  return new SeederError(`the artifact ${formatTag(expected)} ${found}`, {
    fix: 'publish in the run that has built it, at the same commit; see what that job did',
    cause,
  })
}
