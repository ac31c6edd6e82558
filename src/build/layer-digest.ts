import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'

/** Files up to this size, in bytes, are read whole: there are thousands of them, and a stream costs more than they do. */
const SMALL = 1 << 20

/**
 * The SHA-256 (hex) of everything that a folder holds: names, types, modes, targets of links and contents; neither owners nor
 * times. Files that cannot be in a layer (pipes, devices) count by their type.
 */
export async function digestFolder(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort()
  const lines = await pMap(paths, async (path) => [path.slice(folder.length), ...(await describe(path))], {
    concurrency: 8,
  })
  return createHash('sha256').update(JSON.stringify(lines)).digest('hex')
}

async function describe(path: string): Promise<readonly (string | number)[]> {
  const found = await lstat(path)
  const mode = found.mode & 0o7777
  if (found.isSymbolicLink()) return ['link', await readlink(path)]
  if (found.isDirectory()) return ['folder', mode]
  if (!found.isFile()) return ['other', found.mode]
  return ['file', mode, (await hashOf(path, found.size)).digest('hex')]
}

async function hashOf(path: string, size: number): Promise<Hash> {
  const hash = createHash('sha256')
  if (size <= SMALL) return hash.update(await readFile(path))
  for await (const chunk of createReadStream(path, { highWaterMark: SMALL })) hash.update(chunk)
  return hash
}
