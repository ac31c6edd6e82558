import { createHash } from 'node:crypto'
import { chmod, cp, lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SeederError } from '../report/error.ts'

/** A file that a definition adds to the image: `path` in the image (leading slash), where it is, and its mode. */
export interface TreeFile {
  readonly path: string
  readonly source: string
  readonly mode: 0o755 | 0o644
  readonly sha256: string
}

/**
 * The files of the given folders, laid over each other: of two with the same path the later folder's counts.
 * Sorted by path. Of a file's mode only the execute bit is kept, as git does, so that a checkout's umask does not
 * reach the image. Throws SeederError for anything that is neither a file nor a folder.
 */
export async function readTrees(folders: readonly string[]): Promise<TreeFile[]> {
  const found: TreeFile[] = []
  for (const folder of folders) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const source = join(entry.parentPath, entry.name)
      if (entry.isDirectory()) continue
      if (!entry.isFile()) {
        throw new SeederError(`${source} is neither a file nor a folder`, {
          fix: 'an image adds plain files only; units are enabled in image.yaml',
        })
      }
      const { mode } = await lstat(source)
      const sha256 = createHash('sha256')
        .update(await readFile(source))
        .digest('hex')
      const path = source.slice(folder.length)
      found.push({ path, source, mode: mode & 0o100 ? 0o755 : 0o644, sha256 })
    }
  }
  return overlay(found)
}

/** Files in place of those with the same path: the later ones count. Sorted by path. */
export function overlay(...layers: readonly (readonly TreeFile[])[]): TreeFile[] {
  const found = new Map(layers.flat().map((file) => [file.path, file]))
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** The files below /usr, which dm-verity protects, and the others, which live on the root file system. */
export function splitTree(files: readonly TreeFile[]): { usr: TreeFile[]; state: TreeFile[] } {
  return {
    usr: files.filter((file) => file.path.startsWith('/usr/')),
    state: files.filter((file) => !file.path.startsWith('/usr/')),
  }
}

/** What of the files goes into a layer's key: path, mode and content, not where they lie. */
export function treeKey(files: readonly TreeFile[]): unknown {
  return files.map(({ path, mode, sha256 }) => [path, mode, sha256])
}

/** Copies the files to their places below `target`, with their modes. */
export async function writeTree(files: readonly TreeFile[], target: string): Promise<void> {
  await makeFolder(target)
  for (const file of files) {
    const destination = join(target, file.path)
    await makeFolder(dirname(destination))
    await cp(file.source, destination)
    await chmod(destination, file.mode)
  }
}

/** The same for texts (path in the image → text), as files that everybody may read. */
export async function writeTexts(texts: Readonly<Record<string, string>>, target: string): Promise<void> {
  for (const [path, text] of Object.entries(texts)) {
    const destination = join(target, path)
    await makeFolder(dirname(destination))
    await writeFile(destination, text)
    await chmod(destination, 0o644)
  }
}

/** Makes a folder, and those above it, with the mode 0755: what mkdir gives is cut by the caller's umask. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let at = path; at.length >= first.length; at = dirname(at)) await chmod(at, 0o755)
}
