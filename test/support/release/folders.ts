import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '../deploy/image.ts'

/** The digests of the files of a folder, by name; undefined when there is no such folder. */
export async function digestsOf(folder: string): Promise<Record<string, string> | undefined> {
  const names = await readdir(folder).catch(() => undefined)
  if (!names) return undefined
  const digests = names.map(async (name) => [name, sha256(await readFile(join(folder, name)))])
  return Object.fromEntries(await Promise.all(digests))
}
