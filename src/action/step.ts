import { resolve } from 'node:path'
import type { Context } from '../commands/context.ts'
import { connectRepository } from '../commands/github.ts'
import type { GitHub } from '../github/client.ts'
import type { Inputs } from './input-schemas.ts'

/** A step of a workflow while it runs. */
export interface Step {
  /** As the runner gave it, with the token among it. */
  readonly env: NodeJS.ProcessEnv
  readonly context: Context
  /** Something that went wrong and does not stop the step. */
  warn(text: string): void
}

/** What a step gives to the steps after it. */
export interface Outputs {
  readonly version?: string
  /** Absolute paths. */
  readonly qcow2?: string
  readonly manifest?: string
  /** sha256 of the raw disk. */
  readonly digest?: string
  /** sha256 of the lock that a build was made from. */
  readonly 'lock-digest'?: string
  readonly 'artifact-id'?: number
  readonly 'release-url'?: string
  readonly 'template-vmid'?: number
  readonly changed?: boolean
  /** JSON. */
  readonly matrix?: string
  readonly passed?: boolean
}

/** How a step came out. */
export interface StepOutcome {
  readonly outputs: Outputs
  /** Markdown for the job summary. */
  readonly summary?: string
  /** The step did what it was asked to, and what it found lets the job fail: a line each. */
  readonly failures?: readonly string[]
}

/** GitHub as this step may reach it. Throws UsageError when there is no token. */
export function gitHubOf({ env, context }: Step, inputs: Pick<Inputs, 'repository'>): GitHub {
  return connectRepository(env, inputs.repository, context.progress())
}

/** The folder of an image's build: the one that was named, else out/IMAGE of the workspace. */
export function folderOf(
  step: Step,
  {
    image,
    directory,
  }: { readonly image?: string | undefined; readonly directory?: readonly string[] | undefined },
): string {
  const [named = `out/${image}`] = directory ?? []
  return resolve(workspaceOf(step), named)
}

/** The checkout of the workflow. */
export function workspaceOf({ env }: Step): string {
  return env.GITHUB_WORKSPACE || process.cwd()
}

/** The page of the run. */
export function runUrl({ env }: Step): string {
  return `${env.GITHUB_SERVER_URL ?? 'https://github.com'}/${env.GITHUB_REPOSITORY ?? ''}/actions/runs/${env.GITHUB_RUN_ID ?? ''}`
}
