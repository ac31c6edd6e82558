import { copyFile, link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { parseJson, whyNot } from '../files/json.ts'
import { readText } from '../files/text-file.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { sha256File } from '../store/store.ts'
import { type Manifest, manifestSchema } from './manifest.ts'
import { readSums } from './sums.ts'

/** Files that a folder with an earlier build may hold: they are ours to replace. One `.sig.…` a killed `publish` has left. */
const OURS =
  /^([a-z][a-z0-9-]*-[\w.]+-\d+\.(qcow2|(manifest|files|spdx|cdx|provenance|bundle)\.json|report\.html(\.part)?)|SHA256SUMS(\.sig(\.[\w-]+)?)?|template\.conf|test-report\.(json|logs))$/

/**
 * Makes sure, before any work, that `out` can take a build: it is not there, is empty, or holds an earlier build and
 * nothing else. Throws UsageError otherwise.
 */
export async function requireUsableOutput(out: string): Promise<void> {
  const info = await stat(out).catch(() => undefined)
  if (!info) return
  if (!info.isDirectory()) {
    throw new UsageError(`--out ${out} is not a folder`, {
      fix: 'give a folder; it is made when it does not exist',
    })
  }
  if (info.dev !== (await stat(dirname(resolve(out)))).dev) {
    throw new UsageError(`--out ${out} is a mount point, which cannot be replaced as a whole`, {
      fix: 'give a folder inside it',
    })
  }
  const foreign = (await readdir(out)).filter((name) => !OURS.test(name))
  if (foreign.length > 0) {
    throw new UsageError(`--out ${out} holds other files: ${foreign.slice(0, 3).join(', ')}`, {
      fix: 'give an empty folder, or one with an earlier build, which is replaced',
    })
  }
}

/**
 * Puts finished files (name → where it is now) into `out`, all at once: they are gathered in a folder beside it,
 * which then takes its place. Hard links are used where the file system allows.
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

/** So many times another build may get in between before this one gives up. */
const ATTEMPTS = 50

/**
 * Moves `target`, where it exists, to `old`, `partial` into its place, and removes the former. When the second move
 * fails the first is undone; when another build has put its files there in between, this one tries again.
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
      // Another build has taken the place of what was moved away: that is nobody's now.
      await rm(old, { recursive: true, force: true })
      if (attempt === ATTEMPTS) throw error
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20))
      continue
    }
    await rm(old, { recursive: true, force: true })
    return
  }
}

/** Reads a finished build of which no file is missing or changed. Throws SeederError, as `readOutput` does. */
export async function readIntactOutput(folder: string): Promise<Manifest> {
  const { manifest, damaged } = await readOutput(folder)
  if (damaged.length === 0) return manifest
  throw new SeederError(`${folder} is damaged: ${damaged.join(', ')} is not what SHA256SUMS says`, {
    fix: 'build or download it again',
  })
}

/**
 * Reads a finished build back: its manifest, and which of the files named in SHA256SUMS are missing or changed.
 * Throws SeederError when the folder does not hold one build.
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
