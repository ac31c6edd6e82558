import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Creates a folder below `parent` for this run. Its name has the id and the start time of the process: folders of
 * processes that no longer run are removed, with `remove`.
 */
export async function makeRunFolder(
  parent: string,
  remove: (paths: readonly string[]) => Promise<void> = removeOwn,
): Promise<string> {
  await mkdir(parent, { recursive: true })
  const abandoned: string[] = []
  for (const name of await readdir(parent)) {
    const [, pid, started] = /^run-(\d+)-(\d+)-\w+$/.exec(name) ?? []
    if (pid !== undefined && (await startTime(pid)) !== started) abandoned.push(join(parent, name))
  }
  await remove(abandoned)
  const unique = Math.random().toString(36).slice(2, 8)
  const own = join(parent, `run-${process.pid}-${await startTime(String(process.pid))}-${unique}`)
  await mkdir(own, { mode: 0o700 })
  return own
}

async function removeOwn(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { recursive: true, force: true })
}

/** Start time of a process in clock ticks since boot (field 22 of proc(5)): with the pid it identifies the process. */
async function startTime(pid: string): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The program's name, in brackets, may itself hold spaces and brackets.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
