import { readdir, readFile } from 'node:fs/promises'

/** A running measurement. `stop` ends it and gives the peak, in bytes. */
export interface MemorySampler {
  stop(): Promise<number>
}

/** A process in /proc/PID/stat. */
interface Process {
  readonly pid: number
  readonly parent: number
}

const INTERVAL_MS = 100

/**
 * Measures the peak memory of the process `pid` and all its descendants, whichever user or pid namespace they are in:
 * every 100 ms the sum of their proportional set sizes (PSS: private pages, and of each shared page this process's
 * share), and of these sums the largest. Where the kernel does not show the PSS of a process (one that runs under
 * another uid), its resident set counts instead, which is more, never less. Page cache and files on a tmpfs count for
 * nobody here, and a process that lives shorter than the interval can be missed.
 */
export function samplePeakMemory(pid: number): MemorySampler {
  let peak = 0
  let running = true
  const sampling = (async () => {
    while (running) {
      peak = Math.max(peak, await treeMemory(pid))
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS))
    }
  })()
  return {
    stop: async () => {
      running = false
      await sampling
      return peak
    },
  }
}

/** The memory of a process and its descendants at this moment, in bytes; 0 when it is gone. */
export async function treeMemory(pid: number): Promise<number> {
  const tree = descendants(pid, await listProcesses())
  const sizes = await Promise.all(tree.map(processMemory))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** `pid` and every process below it, if it is among `processes`. */
export function descendants(pid: number, processes: readonly Process[]): number[] {
  const children = Map.groupBy(processes, (process) => process.parent)
  const found = processes.some((process) => process.pid === pid) ? [pid] : []
  for (const parent of found) found.push(...(children.get(parent) ?? []).map((child) => child.pid))
  return found
}

async function listProcesses(): Promise<Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const all = await Promise.all(pids.map(readProcess))
  return all.filter((process) => process !== undefined)
}

async function readProcess(pid: number): Promise<Process | undefined> {
  const stat = await readText(`/proc/${pid}/stat`)
  // "PID (NAME) STATE PPID …", where the name may hold spaces and parentheses.
  const parent = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
  return parent === undefined ? undefined : { pid, parent: Number(parent) }
}

async function processMemory(pid: number): Promise<number> {
  const proportional = /^Pss:\s+(\d+) kB$/m.exec((await readText(`/proc/${pid}/smaps_rollup`)) ?? '')?.[1]
  if (proportional !== undefined) return Number(proportional) * 1024
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec((await readText(`/proc/${pid}/status`)) ?? '')?.[1]
  return Number(resident ?? 0) * 1024
}

/** The text of a file of /proc, undefined when the process has ended or may not be looked at. */
function readText(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined)
}
