import { resolve } from 'node:path'
import type { Context } from '../commands/context.ts'
import { connectRepository } from '../commands/context.ts'
import type { GitHub } from '../github/client.ts'
import type { Inputs } from './input-schemas.ts'

/** The running step of a workflow. */
export interface Step {
  /** The runner's environment, with the token. */
  readonly env: NodeJS.ProcessEnv
  readonly context: Context
  /** Reports a problem that does not stop the step. */
  warn(text: string): void
}

/** The outputs of a step. */
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

/** The result of a command. */
export interface StepOutcome {
  readonly outputs: Outputs
  /** Markdown for the job summary. */
  readonly summary?: string
  /** Findings that fail the job although the command ran; a line each. */
  readonly failures?: readonly string[]
}

/**
 * The client for the repository of the step.
 * @throws UsageError when there is no token
 */
export function gitHubOf({ env, context }: Step, inputs: Pick<Inputs, 'repository'>): GitHub {
  return connectRepository(env, inputs.repository, context.progress())
}

/** The folder of an image's build: the input `directory`, otherwise out/IMAGE in the workspace. */
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

/** The URL of the run. */
export function runUrl({ env }: Step): string {
  return `${env.GITHUB_SERVER_URL ?? 'https://github.com'}/${env.GITHUB_REPOSITORY ?? ''}/actions/runs/${env.GITHUB_RUN_ID ?? ''}`
}
