import { expression } from '../expression.ts'
import type { Workflow, WorkflowJob, WorkflowStep } from './file.ts'

/** The environments whose secrets are keys (docs/github.md, "Setting up a repository"). */
const WITH_KEY = ['release', 'confirmation']
const DEFAULT_BRANCH = [expression('github.event.repository.default_branch'), 'main']
/** The condition of a job that is for what was merged. */
const ONLY_MAIN = /^github\.ref == 'refs\/heads\/main'( && [^|]*)?$/
/** Commands of Seeder that run what packages bring. */
const BUILDING = ['build', 'test']
/** Programs that fetch and run what somebody else publishes, and those of ours that start them. */
const FETCHING =
  /\b(apt|apt-get|dpkg|npm|npx|yarn|pnpm|pip|pip3|cargo|gem|docker|podman|curl|wget|make)\b|setup\.sh|test\.sh|try\.sh|seeder (?:.* )?(?:build|test)\b/

/** What a job could do harm with: secrets, and tokens that write. A line each. */
export function powersOf(workflow: Workflow, job: WorkflowJob): string[] {
  const granted = job.permissions ?? workflow.permissions
  const given: Record<string, string> =
    granted === undefined || typeof granted === 'string'
      ? { [`permissions: ${granted ?? 'as the repository says'}`]: 'write' }
      : { ...granted }
  const text = JSON.stringify({ job, env: workflow.env })
  const secrets = [...text.matchAll(/secrets(?:\.(\w+)|\s*\[|['"]?:)/g)].map(([, name = 'all']) => name)
  const { environment: place } = job
  const name = typeof place === 'object' && place !== null ? (place as { name: string }).name : place
  return [
    ...new Set(secrets.map((secret) => `secret ${secret}`)),
    ...(name !== undefined && (WITH_KEY.includes(name) || name.includes('${{'))
      ? [`environment ${name}`]
      : []),
    ...Object.entries(given)
      .filter(([, level]) => level === 'write')
      .map(([permission]) => `may write ${permission}`),
  ]
}

/** What a job runs that is not the default branch's: of a pull request, a tag, or a package. A line each. */
export function strangersOf(workflow: Workflow, job: WorkflowJob): string[] {
  const found: string[] = []
  const own = job.if !== undefined && ONLY_MAIN.test(job.if) ? undefined : isStrange(workflow)
  if (job.container !== undefined || job.services !== undefined) found.push('a container')
  // What lies in the workspace, and what is started from there.
  let workspace: 'nothing' | 'branch' | 'stranger' = 'nothing'
  for (const step of job.steps ?? []) {
    const { uses = '', run, with: given = {} } = step
    if (uses.startsWith('actions/checkout@')) {
      const strange = given.ref === undefined ? own : !DEFAULT_BRANCH.includes(String(given.ref))
      if (strange || given.repository !== undefined) {
        found.push(`a checkout of ${given.repository ?? given.ref ?? own}`)
        workspace = 'stranger'
      } else if (workspace === 'nothing') workspace = 'branch'
    } else if (uses.startsWith('$/') && own) found.push(`a program of ${own}`)
    else if (uses.startsWith('./') && workspace !== 'branch') found.push(`${uses} of ${workspace}`)
    found.push(...packagesOf(step))
    if (run !== undefined && own && /^\s*\S*\//m.test(run)) found.push(`a script of ${own}`)
  }
  return [...new Set(found)]
}

function packagesOf({ uses = '', run = '', with: given = {} }: WorkflowStep): string[] {
  const commands = String(given.command ?? '').split(/\s+/)
  const building = uses.includes('seeder') ? commands.filter((command) => BUILDING.includes(command)) : []
  const cached = given.cache !== undefined && uses.startsWith('actions/setup-')
  return [
    ...building.map((command) => `what packages bring, in ${command}`),
    ...(FETCHING.test(run) ? [`what is fetched by ${FETCHING.exec(run)?.[0]}`] : []),
    // Another job has written it.
    ...(cached || uses.startsWith('actions/cache') ? ['a cache'] : []),
  ]
}

/** Whose the workflow's own file is, where it is not the default branch's alone. */
function isStrange({ on }: Workflow): string | undefined {
  const triggers: Readonly<Record<string, unknown>> =
    typeof on === 'string'
      ? { [on]: null }
      : Array.isArray(on)
        ? Object.fromEntries(on.map((name: string) => [name, null]))
        : (on as Readonly<Record<string, unknown>>)
  for (const [name, how] of Object.entries(triggers)) {
    // Started by hand it is of the branch that is chosen: to that an environment is limited.
    if (name === 'workflow_dispatch' || name === 'schedule') continue
    const branches = (how as { branches?: unknown } | null)?.branches
    const tags = (how as { tags?: unknown } | null)?.tags
    if (name === 'push' && tags === undefined && JSON.stringify(branches) === '["main"]') continue
    return name
  }
  return undefined
}
