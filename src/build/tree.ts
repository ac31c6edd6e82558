import { hash } from 'node:crypto'
import { chmod, cp, lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SeederError } from '../report/error.ts'

/** A file that a definition adds to the image. `path` is in the image, with a leading slash. */
export interface TreeFile {
  readonly path: string
  readonly source: string
  readonly mode: 0o755 | 0o644
  readonly sha256: string
}

/**
 * The files of the given folders, sorted by path; a later folder replaces files of an earlier one. As in git, only the execute
 * bit of a mode is kept, so that the image does not depend on the checkout's umask.
 * @throws SeederError when there is anything else than files and folders
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
      const sha256 = hash('sha256', await readFile(source))
      const path = source.slice(folder.length)
      found.push({ path, source, mode: mode & 0o100 ? 0o755 : 0o644, sha256 })
    }
  }
  return overlay(found)
}

/** The files of all layers, sorted by path; a later layer replaces files of an earlier one. */
export function overlay(...layers: readonly (readonly TreeFile[])[]): TreeFile[] {
  const found = new Map(layers.flat().map((file) => [file.path, file]))
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** The files below /usr, which dm-verity protects, and those on the root file system. */
export function splitTree(files: readonly TreeFile[]): { usr: TreeFile[]; state: TreeFile[] } {
  return {
    usr: files.filter((file) => file.path.startsWith('/usr/')),
    state: files.filter((file) => !file.path.startsWith('/usr/')),
  }
}

/** The files as part of a layer's key: path, mode and digest, without the source path. */
export function treeKey(files: readonly TreeFile[]): unknown {
  return files.map(({ path, mode, sha256 }) => [path, mode, sha256])
}

/** Copies the files below `target`, with their modes. */
export async function writeTree(files: readonly TreeFile[], target: string): Promise<void> {
  await makeFolder(target)
  for (const file of files) {
    const destination = join(target, file.path)
    await makeFolder(dirname(destination))
    await cp(file.source, destination)
    await chmod(destination, file.mode)
  }
}

/** Writes texts (path in the image → text) below `target`, as files that every user can read. */
export async function writeTexts(texts: Readonly<Record<string, string>>, target: string): Promise<void> {
  for (const [path, text] of Object.entries(texts)) {
    const destination = join(target, path)
    await makeFolder(dirname(destination))
    await writeFile(destination, text)
    await chmod(destination, 0o644)
  }
}

/** Makes a folder and its parents with the mode 0755, which mkdir would reduce by the umask. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let folder = path; folder.length >= first.length; folder = dirname(folder)) await chmod(folder, 0o755)
}
