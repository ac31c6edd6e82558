import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { checkout } from '../seeder.ts'

/** A step as a workflow has it. */
export interface WorkflowStep {
  readonly id?: string
  readonly name?: string
  readonly if?: string
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
}

/** A job as a workflow has it, as far as the tests look at it. */
export interface WorkflowJob {
  readonly if?: string
  readonly uses?: string
  readonly steps?: readonly WorkflowStep[]
  readonly needs?: string | readonly string[]
  readonly permissions?: Readonly<Record<string, string>>
  readonly environment?: string
  readonly secrets?: unknown
  readonly container?: string | { readonly image: string }
  readonly services?: Readonly<Record<string, { readonly image: string }>>
  readonly env?: Readonly<Record<string, string>>
  readonly outputs?: Readonly<Record<string, string>>
  readonly 'runs-on'?: string | readonly string[]
}

export interface Workflow {
  readonly name?: string
  readonly on: string | readonly string[] | Readonly<Record<string, unknown>>
  readonly permissions?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, WorkflowJob>>
}

/** A workflow of this repository, by its file's name. */
export async function readWorkflow(name: string): Promise<Workflow> {
  return parseWorkflow(await readFile(join(checkout, '.github/workflows', name), 'utf8'))
}

export function parseWorkflow(text: string): Workflow {
  return parse(text)
}
