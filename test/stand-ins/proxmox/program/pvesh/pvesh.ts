import type { Spec } from '../check.ts'
import { complain } from '../command.ts'
import { CommandLineError, PveError } from '../failure.ts'
import { vmid } from '../formats.ts'
import { type Call, readCommandLine } from '../getopt.ts'
import { err, say } from '../output.ts'
import { vmOption } from '../vm-options.ts'
import { actions, queries } from './resources.ts'

/** Options of the resources that the stand-in knows; all others are a VM's. */
const parameters: Readonly<Record<string, Spec>> = {
  content: { type: 'string' },
  description: { type: 'string', maxLength: 8192 },
  disk: { type: 'string' },
  full: { type: 'boolean' },
  limit: { type: 'integer' },
  newid: vmid,
  storage: { type: 'string' },
  start: { type: 'integer' },
  type: { type: 'string' },
  typefilter: { type: 'string' },
  vmid,
  'output-format': { type: 'string', values: ['text', 'json', 'json-pretty', 'yaml'] },
}

/** `pvesh get|create|set|delete PATH`. */
export async function pvesh(argv: readonly string[]): Promise<number> {
  const [verb = '', ...rest] = argv
  const usage = `pvesh ${verb} <api_path> [OPTIONS] [FORMAT_OPTIONS]`
  if (verb !== 'get' && verb !== 'create') {
    err(`ERROR: unknown command 'pvesh ${verb}'\nUSAGE: pvesh <COMMAND> [ARGS] [OPTIONS]\n`)
    return 255
  }
  try {
    const call = readCommandLine(
      {
        usage,
        positional: [['api_path', { type: 'string' }]],
        option: (name) => parameters[name] ?? vmOption(name),
      },
      rest,
    )
    const path = `/${(call.values.get('api_path') ?? '').split('/').filter(Boolean).join('/')}`
    if (verb === 'create') await act(path, call)
    else show(await get(path, call), call.values.get('output-format') ?? 'text')
    return 0
  } catch (error) {
    return complain(error, usage)
  }
}

async function get(path: string, call: Call): Promise<unknown> {
  for (const { pattern, answer } of queries) {
    const found = pattern.exec(path)
    if (found !== null) return answer(found.groups ?? {}, call)
  }
  throw new PveError(`No 'get' handler defined for '${path}'`)
}

async function act(path: string, call: Call): Promise<void> {
  for (const { pattern, act } of actions) {
    const found = pattern.exec(path)
    if (found === null) continue
    let task = ''
    const withPath = new Map([...call.values, ...Object.entries(found.groups ?? {})])
    await act({ values: withPath, extra: [] }, (upid) => {
      task = upid
    })
    say(task)
    return
  }
  throw new PveError(`No 'create' handler defined for '${path}'`)
}

function show(value: unknown, format: string): void {
  if (format === 'json') say(JSON.stringify(sorted(value)))
  else if (format === 'json-pretty') say(JSON.stringify(sorted(value), null, 3))
  else if (typeof value === 'string' || typeof value === 'number') say(String(value))
  else
    throw new CommandLineError('the stand-in prints what is more than one value only as --output-format json')
}

/** Keys in their order, as the real one's canonical JSON. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  )
}
