import { hash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { Readable } from 'node:stream'
import type { Image } from '../../image/definition.ts'
import type { Lock } from '../../image/lock.ts'
import { SeederError } from '../../report/error.ts'
import type { Store } from '../../store/store.ts'
import { filesOfContainer } from '../containers/fetch.ts'
import { holdsPrivateKey } from '../private-keys.ts'
import { type BundleFile, FOLDERS } from './format.ts'

/** The sources of a build. */
export interface BuildInputs {
  readonly image: Image
  readonly lock: Lock
  /** The folder with `images/` and `platform.yaml`. */
  readonly project: string
  /** The checkout that the program belongs to. */
  readonly checkout: string
}

/** The program, which builds the image of a bundle with only Node.js. */
const programFiles = ['package.json', 'dist/cli', 'LICENSE']

/**
 * Lists the sources of a build as the files of a bundle, by path: definitions, program, locked files. Definitions and program
 * are copied to the package store, so that the bundle can still be written after the checkout has changed.
 * @throws SeederError when there is a link, or a private key, because a bundle is a public file
 */
export async function collectInputs(inputs: BuildInputs, store: Store): Promise<BundleFile[]> {
  const { image, lock, project, checkout } = inputs
  const definitions = ['platform.yaml', 'images/base', 'images/common', `images/${image.name}`]
  const files = lockedFiles(lock)
  for (const [root, parts, folder] of [
    [project, definitions, FOLDERS.project],
    [checkout, programFiles, FOLDERS.program],
  ] as const) {
    for (const part of parts) {
      for (const path of await filesBelow(root, part)) files.push(await keep(root, path, folder, store))
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1))
}

function lockedFiles({ packages, tools, artifacts, containers }: Lock): BundleFile[] {
  const blobs = containers.flatMap((container) =>
    filesOfContainer(container).map((file) => ({
      ...file,
      name: container.name,
      version: container.version,
    })),
  )
  const locked = [...artifacts, ...tools, ...packages, ...blobs]
  return [...new Map(locked.map((entry) => [entry.sha256, entry])).values()].map(
    ({ name, version, size, sha256 }) => ({
      path: `${FOLDERS.store}/${sha256}`,
      size,
      sha256,
      name: `${name} ${version}`,
    }),
  )
}

/** The files at or below `part`, relative to `root`. Hidden files, such as an editor's, are left out except in a tree. */
async function filesBelow(root: string, part: string): Promise<string[]> {
  const start = join(root, part)
  const found = await stat(start).catch((cause: unknown) => {
    const fix = part.startsWith('dist/') ? 'run npm run build there' : 'check it out again'
    throw new SeederError(`${start}, a source of the build, does not exist`, { fix, cause })
  })
  if (found.isFile()) return [part]
  const entries = await readdir(start, { recursive: true, withFileTypes: true })
  return entries.flatMap((entry) => {
    const path = relative(root, join(entry.parentPath, entry.name))
    if (entry.isDirectory() || (/(^|\/)\./.test(path) && !path.includes('/tree/'))) return []
    if (entry.isFile()) return [path]
    throw new SeederError(`${join(root, path)} is neither a file nor a folder`, {
      fix: 'put the file itself there: a definition has plain files only',
    })
  })
}

async function keep(root: string, path: string, folder: string, store: Store): Promise<BundleFile> {
  const place = join(root, path)
  const content = await readFile(place)
  if (folder === FOLDERS.project && holdsPrivateKey(content)) {
    throw new SeederError(`${place} has a private key in it`, {
      fix: 'remove it from the folder, and replace it if the folder was ever published: a build’s definitions are public files',
    })
  }
  const sha256 = hash('sha256', content)
  const file = { size: content.length, sha256 }
  if (!(await store.has(sha256, file.size)) || !(await store.verify(sha256))) {
    await store.add(Readable.from([content]), file)
  }
  const executable = ((await stat(place)).mode & 0o100) !== 0
  return { path: `${folder}/${path}`, ...file, ...(executable && { executable }) }
}
