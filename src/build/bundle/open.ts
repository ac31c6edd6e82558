import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { whyNot } from '../../files/json.ts'
import { readSmall } from '../../files/text-file.ts'
import { execa } from '../../process/child-process.ts'
import { interruption } from '../../process/interruption.ts'
import { SeederError } from '../../report/error.ts'
import { sha256File } from '../../store/digest.ts'
import { Store } from '../../store/store.ts'
import { type BundleIndex, type BundleList, FOLDERS, INDEX_FILE, parseBundleList } from './format.ts'

/** An unpacked bundle: its list, and the folder with `images/` and `platform.yaml`. */
export interface OpenBundle {
  readonly index: BundleIndex
  readonly project: string
}

/**
 * Unpacks a bundle and puts its locked files into the package store; with `keep` all, the definitions and the program as well,
 * as a build does. No file is used before all are verified. Throws as `unpackBundle`.
 * @param scratch an empty folder in the cache
 */
export async function openBundle(
  file: string,
  cache: string,
  scratch: string,
  keep: 'locked' | 'all' = 'locked',
): Promise<OpenBundle> {
  await stat(file).catch((cause: unknown) => {
    throw new SeederError(`there is no bundle ${file}`, { fix: 'give the path of a bundle', cause })
  })
  const { index } = await unpackBundle(file, scratch)
  const store = new Store(join(cache, 'store'), scratch)
  for (const { path, sha256, size } of index.files) {
    if (keep === 'locked' && !path.startsWith(`${FOLDERS.store}/`)) continue
    // This verifies the bytes again, and a killed run leaves no incomplete file in the store.
    await store.add(createReadStream(join(scratch, path)), { sha256, size })
  }
  return { index, project: join(scratch, FOLDERS.project) }
}

/**
 * Unpacks a bundle into an empty folder, and verifies that it has exactly the files of its list.
 * @throws SeederError when the file is no bundle, or a damaged one
 */
export async function unpackBundle(file: string, scratch: string): Promise<BundleList> {
  await unpack(file, scratch)
  const list = await readIndex(file, scratch)
  await requireExactly(file, list.index, scratch)
  return list
}

async function unpack(file: string, scratch: string): Promise<void> {
  // tar refuses absolute paths and `..` itself.
  const argv = [
    '--extract',
    '--file',
    file,
    '--directory',
    scratch,
    '--no-same-owner',
    '--no-same-permissions',
  ]
  const { exitCode, stderr } = await execa('tar', argv, {
    reject: false,
    cancelSignal: interruption,
    env: { LC_ALL: 'C.UTF-8' },
  })
  interruption.throwIfAborted()
  if (exitCode === 0) return
  throw new SeederError(
    `${file} cannot be unpacked: ${stderr.split('\n').find(Boolean) ?? `tar ended with ${exitCode}`}`,
    { fix: 'download it again, and check the free space of the cache' },
  )
}

async function readIndex(file: string, scratch: string): Promise<BundleList> {
  try {
    return parseBundleList(await readSmall(join(scratch, INDEX_FILE)))
  } catch (cause) {
    throw new SeederError(
      `${file} is no bundle: it has no ${INDEX_FILE} that can be read: ${whyNot(cause)}`,
      { fix: 'give the file that `seeder bundle` wrote', cause },
    )
  }
}

async function requireExactly(file: string, index: BundleIndex, scratch: string): Promise<void> {
  const listed = new Map(index.files.map((entry) => [entry.path, entry]))
  const damaged = (what: string) =>
    new SeederError(`${file} is damaged: ${what}`, { fix: 'download it again, and do not use this one' })
  for (const entry of await readdir(scratch, { recursive: true, withFileTypes: true })) {
    const path = relative(scratch, join(entry.parentPath, entry.name))
    if (entry.isDirectory() || path === INDEX_FILE) continue
    const expected = listed.get(path)
    if (!entry.isFile() || !expected) throw damaged(`${path} is not in its index`)
    const found = await sha256File(join(scratch, path))
    if (found !== expected.sha256) throw damaged(`${path} has the sha256 ${found}, not ${expected.sha256}`)
    if (((await stat(join(scratch, path))).mode & 0o100) !== (expected.executable ? 0o100 : 0)) {
      throw damaged(`${path} is ${expected.executable ? 'not ' : ''}executable`)
    }
    if (path.startsWith(`${FOLDERS.store}/`) && path !== `${FOLDERS.store}/${found}`) {
      throw damaged(`${path} is not named by its digest`)
    }
    listed.delete(path)
  }
  const [missing] = listed.keys()
  if (missing !== undefined) throw damaged(`${missing} is missing`)
}
