import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { execa } from 'execa'
import { parse } from 'yaml'
import type { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { type EndedStep, runStep } from '../action.ts'
import { evaluate, fill, type Value } from '../expression.ts'
import type { Workflow, WorkflowStep } from './file.ts'

type Contexts = { readonly [key: string]: Value }

/** A machine that a job is given, and the repository that the job is of. */
export interface JobStart {
  readonly workflow: Workflow
  readonly job: string
  /** An empty folder: the machine's. */
  readonly folder: string
  /** The repository, for git, and the commit that the workflow's file is of. */
  readonly remote: string
  readonly sha: string
  readonly github: LocalGitHub
  /** What expressions may name, beside `github`, `steps` and `env`. */
  readonly contexts: Contexts
  readonly env?: Readonly<Record<string, string>>
  /** Programs that stand before those of this machine. */
  readonly path?: string
}

export interface EndedJob {
  readonly succeeded: boolean
  readonly outputs: Readonly<Record<string, string>>
  /** All that its steps printed. */
  readonly printed: string
}

/**
 * Runs a job as a runner does: real checkouts by git, `run:` by bash, an action from where it is said to be (`./` in the
 * checkout, `$/` at the workflow's commit). It ends at the first step that fails.
 */
export async function runJob(start: JobStart): Promise<EndedJob> {
  const { workflow, folder, github } = start
  const job = workflow.jobs[start.job]
  if (job === undefined) throw new Error(`the workflow has no job ${start.job}`)
  const workspace = join(folder, 'work space')
  await mkdir(workspace, { recursive: true })
  const token = github.token({ contents: 'read', ...level(job.permissions) })
  const steps: Record<string, Value> = {}
  const contexts = (): Contexts => ({
    inputs: {},
    needs: {},
    secrets: {},
    vars: {},
    matrix: {},
    env: {},
    ...start.contexts,
    steps,
    github: {
      token,
      repository: github.repository,
      sha: start.sha,
      workspace,
      event: { repository: { default_branch: 'main' } },
      ref_name: 'main',
      ref_type: 'branch',
      ...(start.contexts.github as Contexts | undefined),
    },
  })
  const filled = (given: Readonly<Record<string, unknown>> = {}) =>
    Object.fromEntries(Object.entries(given).map(([name, value]) => [name, fill(String(value), contexts())]))
  const printed: string[] = []
  let succeeded = true
  for (const [index, step] of (job.steps ?? []).entries()) {
    if (step.if !== undefined && evaluate(step.if, contexts()) !== true) continue
    const own = join(folder, `step-${index}`)
    await mkdir(own, { recursive: true })
    const env = { ...start.env, ...filled(workflow.env), ...filled(job.env), ...filled(step.env) }
    const ended = await takeStep(step, { ...start, own, workspace, token, env, given: filled(step.with) })
    printed.push(ended.stdout, ended.stderr)
    if (step.id !== undefined) steps[step.id] = { outputs: ended.outputs }
    if (ended.code !== 0) {
      succeeded = false
      break
    }
  }
  return { succeeded, outputs: succeeded ? filled(job.outputs) : {}, printed: printed.join('\n') }
}

function level(permissions: Readonly<Record<string, string>> = {}) {
  return permissions as Readonly<Record<string, 'read' | 'write'>>
}

interface Place extends JobStart {
  /** A folder of the step's own. */
  readonly own: string
  readonly workspace: string
  readonly token: string
  readonly env: Readonly<Record<string, string>>
  readonly given: Readonly<Record<string, string>>
}

async function takeStep(step: WorkflowStep, place: Place): Promise<EndedStep> {
  if (step.run !== undefined) return takeRun(step.run, place)
  const { uses = '' } = step
  if (uses.startsWith('actions/checkout@')) return takeCheckout(place)
  const { workspace, remote, sha, own } = place
  if (uses.startsWith('./')) return takeAction(resolve(workspace, uses), place)
  if (!uses.startsWith('$/')) throw new Error(`there is no stand-in for ${uses}`)
  const actions = join(own, 'actions')
  await git(['clone', '--quiet', '--no-checkout', remote, actions])
  await git(['-C', actions, 'checkout', '--quiet', sha])
  return takeAction(resolve(actions, uses.slice(2)), place)
}

async function takeRun(script: string, { own, workspace, env, path }: Place): Promise<EndedStep> {
  const [file, output] = [join(own, 'script.sh'), join(own, 'output')]
  await writeFile(file, script)
  await writeFile(output, '')
  const { exitCode, stdout, stderr } = await execa('bash', ['-e', file], {
    cwd: workspace,
    extendEnv: false,
    reject: false,
    env: {
      PATH: [path, process.env.PATH].filter(Boolean).join(':'),
      HOME: own,
      RUNNER_TEMP: own,
      GITHUB_WORKSPACE: workspace,
      GITHUB_OUTPUT: output,
      GITHUB_ACTIONS: 'true',
      ...env,
    },
  })
  const lines = (await readFile(output, 'utf8')).matchAll(/^([^=\n]+)=(.*)$/gm)
  const outputs = Object.fromEntries([...lines].map(([, name, value]) => [name, value]))
  return { code: exitCode ?? null, stdout, stderr, outputs, summary: '' }
}

async function takeCheckout({ given, remote, sha, workspace }: Place): Promise<EndedStep> {
  const into = join(workspace, given.path ?? '')
  await mkdir(into, { recursive: true })
  const run = (...words: string[]) => git(['-C', into, ...words])
  await run('init', '--quiet')
  const { ref = sha } = given
  if (given['fetch-depth'] === '0') {
    await run('fetch', '--quiet', remote, '+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*')
    const known = await run('rev-parse', '--verify', '--quiet', `refs/remotes/origin/${ref}`)
    await run('checkout', '--quiet', '--detach', known)
  } else {
    await run('fetch', '--quiet', '--depth=1', remote, ref)
    await run('checkout', '--quiet', '--detach', 'FETCH_HEAD')
  }
  return { code: 0, stdout: '', stderr: '', outputs: {}, summary: '' }
}

async function takeAction(folder: string, place: Place): Promise<EndedStep> {
  const { inputs, runs } = parse(await readFile(join(folder, 'action.yml'), 'utf8'))
  const { own, workspace, github, token, env, given } = place
  const known = Object.fromEntries(Object.keys(inputs).map((name) => [name, given[name] ?? '']))
  return runStep({
    with: { ...known, token: given.token ?? token },
    folder: join(own, 'run'),
    workspace,
    github,
    script: resolve(folder, runs.main),
    env: { XDG_CACHE_HOME: join(own, 'cache'), ...env },
  })
}

async function git(words: readonly string[]): Promise<string> {
  const { stdout } = await execa('git', [...words], { env: { GIT_CONFIG_GLOBAL: '/dev/null' } })
  return stdout.trim()
}
