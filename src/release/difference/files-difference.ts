import { z } from 'zod'
import type { FileEntry, FileInventory } from '../../evidence/inventory.ts'
import { foreignLine } from '../../report/text-schemas.ts'

const change = z.object({ before: z.number(), after: z.number() })

/** The difference between the files of two versions. Paths and units are sorted, sizes are bytes. */
export const filesDifferenceSchema = z.object({
  added: z.array(foreignLine),
  removed: z.array(foreignLine),
  /** With the attributes that differ. */
  changed: z.array(z.object({ path: foreignLine, what: z.array(foreignLine) })),
  /** Folders whose total size changed, the largest change first. */
  folders: z.array(z.object({ path: foreignLine, ...change.shape })),
  /** systemd units that another unit starts, and those that can never start. */
  units: z.object({
    enabled: z.array(foreignLine),
    disabled: z.array(foreignLine),
    masked: z.array(foreignLine),
    unmasked: z.array(foreignLine),
  }),
})

export type FilesDifference = z.output<typeof filesDifferenceSchema>

/** Compares the files of two versions; directories are not compared themselves. */
export function compareInventories(before: FileInventory, after: FileInventory): FilesDifference {
  const [was, is] = [filesOf(before), filesOf(after)]
  const changed = [...is].flatMap(([path, entry]) => {
    const old = was.get(path)
    const what = old ? differing(old, entry) : []
    return what.length > 0 ? [{ path, what }] : []
  })
  const [old, now] = [unitsOf(before), unitsOf(after)]
  return {
    added: missing(is.keys(), was),
    removed: missing(was.keys(), is),
    changed,
    folders: folderChanges(before, after),
    units: {
      enabled: missing(now.enabled, old.enabled),
      disabled: missing(old.enabled, now.enabled),
      masked: missing(now.masked, old.masked),
      unmasked: missing(old.masked, now.masked),
    },
  }
}

function filesOf({ files }: FileInventory): Map<string, FileEntry> {
  return new Map(files.filter(({ type }) => type !== 'directory').map((entry) => [entry.path, entry]))
}

/** The items that only the first has. */
function missing(some: Iterable<string>, others: { has(item: string): boolean }): string[] {
  return [...some].filter((item) => !others.has(item)).sort()
}

function differing(before: FileEntry, after: FileEntry): string[] {
  return [
    ...(before.type === after.type ? [] : ['type']),
    ...(before.sha256 === after.sha256 ? [] : ['content']),
    ...(before.target === after.target ? [] : ['target']),
    ...(before.mode === after.mode ? [] : ['mode']),
    ...(before.ids === after.ids ? [] : ['owner']),
  ]
}

/** Maximum depth of a folder, as in `/usr/share/perl5`. */
const DEPTH = 3

function folderChanges(before: FileInventory, after: FileInventory): FilesDifference['folders'] {
  const [was, is] = [sizesOf(before), sizesOf(after)]
  return [...new Set([...was.keys(), ...is.keys()])]
    .map((path) => ({ path, before: was.get(path) ?? 0, after: is.get(path) ?? 0 }))
    .filter((folder) => folder.before !== folder.after)
    .sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || (a.path < b.path ? -1 : 1))
}

/** Folder → bytes of its files. Deeper folders than `DEPTH` count as their parent. */
function sizesOf({ files }: FileInventory): Map<string, number> {
  const sizes = new Map<string, number>()
  for (const { path, size = 0 } of files) {
    const folder =
      path
        .split('/')
        .slice(0, -1)
        .slice(0, DEPTH + 1)
        .join('/') || '/'
    if (size > 0) sizes.set(folder, (sizes.get(folder) ?? 0) + size)
  }
  return sizes
}

/** The units that the files enable and mask. */
function unitsOf({ files }: FileInventory): { enabled: Set<string>; masked: Set<string> } {
  const links = files.filter(({ type }) => type === 'link')
  const named = (pattern: RegExp, test: (entry: FileEntry) => boolean) =>
    new Set(links.filter(test).flatMap(({ path }) => pattern.exec(path)?.[1] ?? []))
  return {
    enabled: named(
      /^\/(?:etc|usr\/lib)\/systemd\/system\/[^/]+\.(?:wants|requires|upholds)\/([^/]+)$/,
      ({ target }) => target !== '/dev/null',
    ),
    masked: named(/^\/etc\/systemd\/system\/([^/]+)$/, ({ target }) => target === '/dev/null'),
  }
}
