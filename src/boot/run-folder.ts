import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * A folder for one run, under `parent`, named after this process. Folders of runs that are gone, killed before they
 * could clean up, are removed.
 */
export async function makeRunFolder(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true })
  for (const name of await readdir(parent)) {
    const [, pid, started] = /^run-(\d+)-(\d+)$/.exec(name) ?? []
    if (pid === undefined || (await startTime(pid)) === started) continue
    await rm(join(parent, name), { recursive: true, force: true })
  }
  const own = join(parent, `run-${process.pid}-${await startTime(String(process.pid))}`)
  await mkdir(own, { mode: 0o700 })
  return own
}

/** When a process was started, in clock ticks since boot (field 22 of proc(5)): with the pid it names one process. */
async function startTime(pid: string): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The program's name, in brackets, may itself hold spaces and brackets.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
