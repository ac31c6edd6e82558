import { readFileSync } from 'node:fs'
import { ParameterError, PveError } from '../failure.ts'
import type { Call } from '../getopt.ts'
import { err, out } from '../output.ts'
import { callGuest } from '../vm/guest-port.ts'

// How often the end of a command is looked for.
const pollMs = 1000
const mostInput = 1024 ** 2

/** What the agent says of a command that it runs. */
interface ExecStatus {
  readonly exited: boolean
  readonly [key: string]: unknown
}

/** `qm guest exec`. Its own status does not depend on the command's. */
export async function exec({ values, extra }: Call): Promise<void> {
  const vmid = Number(values.get('vmid'))
  const synchronous = values.get('synchronous') !== '0'
  if (extra.length === 0) throw new ParameterError({ 'extra-args': 'No command given' })
  if (values.has('timeout') && !synchronous) {
    throw new ParameterError({ synchronous: "needs to be set for 'timeout'" })
  }
  const [path, ...arg] = extra
  const input = values.get('pass-stdin') === '1' ? { 'input-data': standardInput() } : {}
  const request = { path, arg, 'capture-output': true, ...input }
  const { pid } = (await callGuest(vmid, 'guest-exec', request)) as { pid: number }
  if (!synchronous) {
    print({ pid })
    return
  }
  const timeout = Number(values.get('timeout') ?? 30)
  const begin = Date.now()
  while (timeout === 0 || Date.now() - begin < timeout * 1000) {
    const status = await statusOf(vmid, pid)
    if (status.exited) {
      print(decoded(status))
      return
    }
    await new Promise((wake) => setTimeout(wake, pollMs))
  }
  err('timeout reached, returning pid\n')
  print({ pid })
}

/** `qm guest exec-status`. */
export async function execStatus({ values }: Call): Promise<void> {
  print(decoded(await statusOf(Number(values.get('vmid')), Number(values.get('pid')))))
}

/** `qm guest cmd`. An answer that says nothing is not printed. */
export async function command({ values }: Call): Promise<void> {
  const name = values.get('command') ?? ''
  const answer = await callGuest(Number(values.get('vmid')), `guest-${name}`)
  if (answer === undefined || JSON.stringify(answer) === '{}') return
  print(answer)
}

async function statusOf(vmid: number, pid: number): Promise<ExecStatus> {
  return (await callGuest(vmid, 'guest-exec-status', { pid })) as ExecStatus
}

function standardInput(): string {
  const input = readFileSync(0)
  if (input.length > mostInput) throw new PveError("'input-data' (STDIN) is limited to 1 MiB, aborting")
  return input.toString('base64')
}

/** Booleans are numbers and outputs are text, as Proxmox VE hands them on. */
function decoded(status: ExecStatus): object {
  return Object.fromEntries(
    Object.entries(status).map(([key, value]) => {
      if (/^(out|err)-data$/.test(key)) return [key, Buffer.from(String(value), 'base64').toString()]
      return [key, typeof value === 'boolean' ? Number(value) : value]
    }),
  )
}

/** JSON as Perl's prints it for people: keys in their order, three blanks, and one on each side of a colon. */
function print(value: unknown): void {
  out(`${pretty(value, '')}\n`)
}

function pretty(value: unknown, indent: string): string {
  const deeper = `${indent}   `
  if (Array.isArray(value)) {
    const items = value.map((one) => `${deeper}${pretty(one, deeper)}`)
    return items.length === 0 ? '[]' : `[\n${items.join(',\n')}\n${indent}]`
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const items = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, one]) => `${deeper}${JSON.stringify(key)} : ${pretty(one, deeper)}`)
  return items.length === 0 ? '{}' : `{\n${items.join(',\n')}\n${indent}}`
}
