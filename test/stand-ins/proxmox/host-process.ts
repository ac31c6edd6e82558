import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import type { Layout } from './layout.ts'

/** How a command on the host ended. A signal's status is 128 and its number, as a shell has it. */
export interface HostResult {
  readonly code: number
  readonly signal: NodeJS.Signals | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Resolves with the holder's process id. */
export async function ready(child: ChildProcess): Promise<number> {
  let complaints = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  return new Promise((resolve, reject) => {
    child.stdout?.setEncoding('utf8').once('data', (line: string) => resolve(Number(line)))
    child.on('error', reject)
    child.on('close', () => reject(new Error(`could not make a stand-in host: ${complaints.trim()}`)))
  })
}

/** The holder of a host that another process started, if it still runs. */
export async function runningHolder(layout: Layout): Promise<number | undefined> {
  const noted = await readFile(layout.holder, 'utf8').catch(() => '')
  const seen = await readFile(`/proc/${noted.trim()}/root/run/stand-in/holder`, 'utf8').catch(() => undefined)
  if (noted === '' || seen !== noted) return undefined
  // The same number may be another host's.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK
  const [here, there] = await Promise.all([
    open(layout.holder, flags),
    open(`/proc/${noted.trim()}/root/run/stand-in/holder`, flags),
  ])
  const [mine, its] = await Promise.all([here.stat(), there.stat()])
  await Promise.all([here.close(), there.close()])
  return mine.ino === its.ino ? Number(noted) : undefined
}

/** Kills a process and all of its group. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

/** How a process ends, and what it prints until then. */
export async function outcome(child: ChildProcess): Promise<HostResult> {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      // nsenter itself ends by the signal that its command ended by.
      resolve({ code: code ?? 128 + signalNumber(signal), signal: signal ?? undefined, ...output })
    })
  })
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null
    ? 0
    : (({ SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 } as Record<string, number>)[signal] ?? 0)
}
