import { copyFile, link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { parseJson, whyNot } from '../files/json.ts'
import { readText } from '../files/text-file.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { sha256File } from '../store/digest.ts'
import { type Manifest, manifestSchema } from './manifest.ts'
import { readSums } from './sums.ts'

/** The files of an earlier build, which may be replaced. `.sig.…` is from a killed `publish`. */
const BUILD_FILE =
  /^([a-z][a-z0-9-]*-[\w.]+-\d+\.(qcow2|(manifest|files|spdx|cdx|provenance|bundle)\.json|report\.html(\.part)?)|SHA256SUMS(\.sig(\.[\w-]+)?)?|template\.conf|test-report\.(json|logs))$/

/**
 * @throws UsageError unless `out` can take a build: it does not exist, is empty, or holds only an earlier build
 */
export async function requireUsableOutput(out: string): Promise<void> {
  const info = await stat(out).catch(() => undefined)
  if (!info) return
  if (!info.isDirectory()) {
    throw new UsageError(`--out ${out} is not a folder`, {
      fix: 'give a folder; it is created when it does not exist',
    })
  }
  if (info.dev !== (await stat(dirname(resolve(out)))).dev) {
    throw new UsageError(`--out ${out} is a mount point, which cannot be replaced as a whole`, {
      fix: 'give a folder inside it',
    })
  }
  const foreign = (await readdir(out)).filter((name) => !BUILD_FILE.test(name))
  if (foreign.length > 0) {
    throw new UsageError(`--out ${out} holds other files: ${foreign.slice(0, 3).join(', ')}`, {
      fix: 'give an empty folder, or one with an earlier build, which is replaced',
    })
  }
}

/**
 * Puts finished files (name → current path) into `out`, all at once: a new folder beside it replaces it. Files are hard links
 * where the file system allows.
 */
export async function publishOutput(out: string, files: ReadonlyMap<string, string>): Promise<void> {
  const target = resolve(out)
  const unique = `${process.pid}.${Math.random().toString(36).slice(2, 8)}`
  const partial = join(dirname(target), `.${basename(target)}.${unique}.partial`)
  const old = join(dirname(target), `.${basename(target)}.${unique}.old`)
  try {
    await mkdir(partial, { recursive: true })
    for (const [name, from] of files) {
      await link(from, join(partial, name)).catch(() => copyFile(from, join(partial, name)))
    }
    await replace(target, partial, old)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

/** The maximum number of attempts when other builds write to the same folder. */
const ATTEMPTS = 50

/**
 * Moves `target` to `old`, if it exists, then `partial` to `target`, and removes `old`. When the second move fails, the first
 * is undone; when another build was faster, it tries again.
 */
async function replace(target: string, partial: string, old: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const moved = await rename(target, old).then(
      () => true,
      () => false,
    )
    try {
      await rename(partial, target)
    } catch (error) {
      if (moved) await rename(old, target).catch(() => {})
      const occupied = error instanceof Error && 'code' in error && error.code === 'ENOTEMPTY'
      if (!occupied) throw error
      // Another build has already replaced the old folder.
      await rm(old, { recursive: true, force: true })
      if (attempt === ATTEMPTS) throw error
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20))
      continue
    }
    await rm(old, { recursive: true, force: true })
    return
  }
}

/**
 * Reads a finished build. Throws as `readOutput`.
 * @throws SeederError when a file is missing or changed
 */
export async function readIntactOutput(folder: string): Promise<Manifest> {
  const { manifest, damaged } = await readOutput(folder)
  if (damaged.length === 0) return manifest
  throw new SeederError(`${folder} is damaged: ${damaged.join(', ')} differs from SHA256SUMS`, {
    fix: 'build or download it again',
  })
}

/**
 * Reads the manifest of a finished build, and finds the files of SHA256SUMS that are missing or changed.
 * @throws SeederError when the folder does not hold a build
 */
export async function readOutput(folder: string): Promise<{ manifest: Manifest; damaged: string[] }> {
  const sums = await readSums(folder)
  const damaged: string[] = []
  for (const [name, digest] of sums) {
    const found = await sha256File(join(folder, name)).catch(() => undefined)
    if (found !== digest) damaged.push(name)
  }
  const file = [...sums.keys()].find((name) => name.endsWith('.manifest.json'))
  if (file === undefined) {
    throw new SeederError(`${folder} does not hold a build: its SHA256SUMS names no manifest`, {
      fix: 'build or download it again',
    })
  }
  try {
    const text = await readText(join(folder, file))
    return { manifest: parseJson(text, manifestSchema), damaged }
  } catch (cause) {
    throw new SeederError(
      `${folder} does not hold a build: the manifest that SHA256SUMS names, ${file}, cannot be used: ${whyNot(cause)}`,
      {
        fix: 'build or download it again',
        cause,
      },
    )
  }
}
