import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { LocalGitHub } from '../stand-ins/github/local-github.ts'
import { checkout } from './seeder.ts'

/** The exit code of a step, and what it wrote for the runner. */
export interface EndedStep {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly outputs: Readonly<Record<string, string>>
  readonly summary: string
}

/** The start of a workflow step. */
export interface StepStart {
  readonly with: Readonly<Record<string, string>>
  /** An empty folder of this step's own. */
  readonly folder: string
  /** The checkout of the workflow. */
  readonly workspace: string
  readonly github?: LocalGitHub
  /** The event's name and payload. */
  readonly event?: { readonly name: string; readonly payload: unknown }
  readonly env?: Readonly<Record<string, string>>
  /** The program (default: src/action.ts). */
  readonly script?: string
  /** A command line before that of the program, as from `onHost`. */
  readonly prefix?: readonly string[]
  /** Called with the process as soon as it runs. */
  readonly started?: (step: {
    kill(signal: NodeJS.Signals): boolean
    readonly stdout: NodeJS.ReadableStream
  }) => void
}

/** Runs the action as the runner does: a process with its environment, and files that it writes to. */
export async function runStep(start: StepStart): Promise<EndedStep> {
  const { folder, workspace, github, event } = start
  const [output, summary, payload] = ['output', 'summary.md', 'event.json'].map((name) => join(folder, name))
  await mkdir(join(folder, 'temp'), { recursive: true })
  for (const file of [output, summary]) await writeFile(file ?? '', '')
  await writeFile(payload ?? '', JSON.stringify(event?.payload ?? {}))
  const inputs = Object.entries(start.with).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])
  const program = [process.execPath, start.script ?? join(checkout, 'src/action.ts')]
  const [command = '', ...words] = [...(start.prefix ?? []), ...program]
  const child = spawn(command, words, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      XDG_CACHE_HOME: join(folder, 'cache'),
      GITHUB_ACTIONS: 'true',
      CI: 'true',
      RUNNER_TEMP: join(folder, 'temp'),
      GITHUB_OUTPUT: output,
      GITHUB_STEP_SUMMARY: summary,
      GITHUB_EVENT_PATH: payload,
      GITHUB_WORKSPACE: workspace,
      GITHUB_EVENT_NAME: event?.name ?? 'workflow_dispatch',
      GITHUB_SERVER_URL: 'https://github.com',
      GITHUB_RUN_ID: '42',
      GITHUB_REF_TYPE: 'branch',
      ...(github && { GITHUB_REPOSITORY: github.repository, GITHUB_API_URL: github.apiUrl }),
      ...(github && { INPUT_TOKEN: github.token(), ...github.runtimeEnv() }),
      ...Object.fromEntries(inputs),
      ...start.env,
    },
  })
  start.started?.(child)
  const printed = Promise.all([text(child.stdout), text(child.stderr)])
  const [code]: (number | null)[] = await once(child, 'close')
  const [stdout, stderr] = await printed
  return {
    code: code ?? null,
    stdout,
    stderr,
    outputs: readOutputs(await readFile(output ?? '', 'utf8')),
    summary: await readFile(summary ?? '', 'utf8'),
  }
}

/** Parses a GITHUB_OUTPUT file: `name<<DELIMITER`, lines, `DELIMITER`. */
function readOutputs(content: string): Record<string, string> {
  const found = content.matchAll(/^(.+?)<<(\S+)\n(.*?)\n?^\2$/gms)
  return Object.fromEntries([...found].map(([, name, , value]) => [name, value]))
}
