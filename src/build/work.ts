import { mkdir, readdir, readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { SeederError } from '../report/error.ts'
import { formatBytes } from '../report/table.ts'
import { removeTrees } from './namespace.ts'

/** What the largest build here needs at once: the tree, its tar, the file systems, the raw disk and the qcow2. */
const NEEDED_BYTES = 2.5e9

/**
 * A folder for one build, below `parent`, removed when `work` ends, however it ends. Its name carries the process's
 * id and start time, so that the next build can tell a folder in use from one that a killed build left, and clears
 * the latter away first.
 */
export async function withWorkFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(parent, { recursive: true })
  await removeAbandoned(parent)
  await requireSpace(parent)
  const folder = join(
    parent,
    `${process.pid}-${await startTime(process.pid)}-${Math.random().toString(36).slice(2, 8)}`,
  )
  await mkdir(folder)
  try {
    return await work(folder)
  } finally {
    await removeTrees([folder])
  }
}

async function removeAbandoned(parent: string): Promise<void> {
  const abandoned: string[] = []
  for (const entry of await readdir(parent)) {
    const [pid, started] = entry.split('-')
    if (!pid || !started || (await startTime(Number(pid))) !== started) abandoned.push(join(parent, entry))
  }
  await removeTrees(abandoned)
}

/** When a process started, in clock ticks since boot, as /proc says it; undefined when there is no such process. */
async function startTime(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The second field is the program's name in brackets and may itself hold blanks.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

async function requireSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free >= NEEDED_BYTES) return
  throw new SeederError(
    `A build needs ${formatBytes(NEEDED_BYTES)} in ${folder}, and there are ${formatBytes(free)} free`,
    { fix: 'free some space, or put the cache elsewhere with XDG_CACHE_HOME' },
  )
}
