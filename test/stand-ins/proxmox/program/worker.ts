import { spawn } from 'node:child_process'
import { appendFileSync, createWriteStream, mkdirSync, readFileSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { nodeName } from './cluster.ts'
import { messageOf, PveError } from './failure.ts'
import { activeFaults, setActiveFaults } from './faults.ts'
import { out, writeAsWorker } from './output.ts'
import { catchInterruptions } from './processes.ts'

/** What a worker is to do. */
interface Job {
  readonly type: string
  readonly id: string
  readonly work: unknown
  readonly faults: ReturnType<typeof activeFaults>
}

/** What a worker says to the process that waits for it. */
type Message = { kill: true } | { upid: string } | { error: string | undefined; status: number }

// The descriptor that a worker says it on.
const messageFd = 3

/**
 * Has a task done by a process in a session of its own, and waits for it. When this process is killed, the worker goes
 * on; when it gets a signal to end, it passes that to the worker.
 * @param onStart called with the task's id
 * @throws PveError with what the task died of
 */
export async function inWorker(
  type: string,
  id: string,
  work: unknown,
  onStart?: (upid: string) => void,
): Promise<void> {
  const job: Job = { type, id, work, faults: activeFaults() }
  const child = spawn(process.execPath, [process.argv[1] ?? '', '--worker'], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    detached: true,
  })
  child.stdin?.end(JSON.stringify(job))
  // Nothing of the caller's stays open in a worker that outlives it.
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', out)
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
    process.on(signal, () => child.pid !== undefined && process.kill(child.pid, 'SIGTERM'))
  }
  let ended: Extract<Message, { status: number }> | undefined
  const messages = child.stdio[messageFd]
  if (messages === null || messages === undefined || !('readable' in messages))
    throw new Error('no message pipe')
  createInterface({ input: messages }).on('line', (line) => {
    const message: Message = JSON.parse(line)
    if ('kill' in message) process.kill(0, 'SIGKILL')
    else if ('upid' in message) onStart?.(message.upid)
    else ended = message
  })
  await new Promise((closed) => child.on('close', closed))
  if (ended === undefined) throw new PveError('worker ended without a result')
  if (ended.error !== undefined) throw new PveError(ended.error, ended.status)
}

/** The worker itself: does the job that it is given on its standard input. */
export async function workAsWorker(
  tasks: Readonly<Record<string, (work: unknown) => Promise<void>>>,
): Promise<void> {
  const job: Job = JSON.parse(readFileSync(0, 'utf8'))
  const upid = upidOf(job)
  const log = openTaskLog(upid)
  writeAsWorker((text) => appendFileSync(log, text))
  catchInterruptions()
  setActiveFaults(job.faults, killCaller)
  send({ upid })
  const task = tasks[job.type]
  try {
    if (task === undefined) throw new Error(`no task ${job.type}`)
    await task(job.work)
    noteEnd(upid, 'OK', log)
    send({ error: undefined, status: 0 })
  } catch (error) {
    noteEnd(upid, messageOf(error), log)
    send({ error: messageOf(error), status: error instanceof PveError ? error.status : 255 })
  }
}

function send(message: Message): void {
  try {
    writeSync(messageFd, `${JSON.stringify(message)}\n`)
  } catch {
    // Whoever waited has been killed.
  }
}

/** Has the caller's process group killed, and waits until it is. */
async function killCaller(): Promise<void> {
  send({ kill: true })
  // The pipe's other end closes with the process that was waiting at it.
  await new Promise<void>((gone) => {
    const stream = createWriteStream('', { fd: messageFd })
    stream.on('error', () => gone())
    const timer = setInterval(() => stream.write('\n'), 5)
    stream.on('error', () => clearInterval(timer))
  })
}

function upidOf({ type, id }: Job): string {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const started = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0')
  const time = Math.floor(Date.now() / 1000)
  return `UPID:${nodeName()}:${hex(process.pid)}:${hex(started)}:${hex(time)}:${type}:${id}:root@pam:`
}

const taskFolder = '/var/log/pve/tasks'

function openTaskLog(upid: string): string {
  const time = upid.split(':')[4] ?? ''
  const folder = `${taskFolder}/${time.slice(-1)}`
  mkdirSync(folder, { recursive: true })
  appendFileSync(`${taskFolder}/active`, `${upid} 0\n`)
  return `${folder}/${upid}`
}

function noteEnd(upid: string, status: string, log: string): void {
  appendFileSync(log, status === 'OK' ? 'TASK OK\n' : `TASK ERROR: ${status}\n`)
  const time = Math.floor(Date.now() / 1000)
    .toString(16)
    .toUpperCase()
  appendFileSync(`${taskFolder}/index`, `${upid} ${time} ${status}\n`)
}
