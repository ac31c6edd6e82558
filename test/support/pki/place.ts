import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { initialize } from '../../../src/pki/authority.ts'
import type { Place } from '../../../src/pki/session.ts'

/** A place for a PKI, in a path with what shells, URIs and openssl's configuration take for their own. */
export interface TestPki extends Place {
  /** What was noted since the last look. */
  notes(): string[]
  remove(): Promise<void>
}

/** A folder name for a PKI that is not there yet. */
export async function emptyPlace(): Promise<TestPki> {
  const parent = await mkdtemp(join(tmpdir(), 'seeder pki:$HOME #\\'))
  const noted: string[] = []
  return {
    folder: join(parent, 'a;b', 'pki'),
    note: (text) => noted.push(text),
    notes: () => noted.splice(0),
    remove: () => rm(parent, { recursive: true, force: true }),
  }
}

/** A PKI with its three CAs. */
export async function makePki(days = 3650, now = new Date()): Promise<TestPki> {
  const place = await emptyPlace()
  await initialize(place, { now, days })
  return place
}

/** Every path below a folder with its file's text; folders end with a slash. */
export async function contentOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const pairs = entries.map(async (entry): Promise<[string, string]> => {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(folder.length + 1)
    return entry.isDirectory() ? [`${name}/`, ''] : [name, await readFile(path, 'utf8')]
  })
  return Object.fromEntries((await Promise.all(pairs)).sort(([a], [b]) => (a < b ? -1 : 1)))
}
