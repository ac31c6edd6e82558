import { z } from 'zod'
import { SeederError } from '../report/error.ts'

/** The right that a call to GitHub needs, as a workflow grants it. */
export type Permission = `${string}: ${'read' | 'write'}`

/** An answer of GitHub that is not a success. */
export interface Refusal {
  readonly status: number
  /** What GitHub says about it, in one line. */
  readonly message: string
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** As `Refusal`, where a transfer meets one. */
export class RefusedError extends Error implements Refusal {
  readonly status: number
  readonly headers: Refusal['headers']

  constructor({ status, message, headers }: Refusal) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

/**
 * The refusal inside what Octokit or a transfer threw; undefined when there was no answer at all (Octokit calls that
 * 500, without a response).
 */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof RefusedError) return error
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return undefined
  if (!('response' in error) || typeof error.response !== 'object' || error.response === null)
    return undefined
  const { response } = error
  return {
    status: error.status,
    message: ('data' in response ? complaintOf(response.data) : undefined) ?? oneLine(error.message),
    headers:
      'headers' in response && typeof response.headers === 'object' && response.headers !== null
        ? Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)]))
        : {},
  }
}

const complaintSchema = z.object({
  message: z.string(),
  errors: z.array(z.object({ code: z.string().optional(), message: z.string().optional() })).optional(),
})

/** What the body of GitHub's refusal says, in one line; undefined when it is not one of its API. */
export function complaintOf(body: unknown): string | undefined {
  const { data } = complaintSchema.safeParse(body)
  if (data === undefined) return undefined
  const details = (data.errors ?? []).map((one) => one.message ?? one.code ?? '').filter((one) => one !== '')
  return oneLine(details.length === 0 ? data.message : `${data.message}: ${details.join(', ')}`)
}

/**
 * The error for a person: what was attempted (`doing`, as in "list the releases of acme/platform"), what GitHub
 * answered, and what to do; a missing permission as the lines to add to the workflow.
 */
export function gitHubFailure(doing: string, error: unknown, needs: Permission): SeederError {
  if (error instanceof SeederError) return error
  const refusal = refusalOf(error)
  if (refusal === undefined) {
    return new SeederError(`could not ${doing}: ${reason(error)}`, {
      fix: 'see whether this machine reaches GitHub (githubstatus.com), then run it again',
      cause: error,
    })
  }
  const said = `could not ${doing}: GitHub answered ${refusal.status} (${refusal.message})`
  return new SeederError(said, { ...fixOf(refusal, needs), cause: error })
}

/** Whether an answer says that there were too many requests in too short a time. */
export function isRateLimit({ status, message, headers }: Refusal): boolean {
  if (status === 429) return true
  return status === 403 && (/rate limit/i.test(message) || headers['x-ratelimit-remaining'] === '0')
}

function fixOf(refusal: Refusal, needs: Permission): { fix?: string } {
  const { status } = refusal
  if (isRateLimit(refusal)) return { fix: 'wait some minutes, then run it again: it goes on where it was' }
  if (status === 401) {
    return { fix: 'give a token that is valid: a job’s own token ends with the job, others expire' }
  }
  if (status === 403 && /workflows=write/.test(refusal.headers['x-accepted-github-permissions'] ?? '')) {
    // No job's token can have that permission. It is required when a commit's workflows are not those of the default branch.
    return {
      fix: 'the workflows of the default branch changed after this commit, and a job’s token may then not make its tag: build and publish the newest commit of that branch',
    }
  }
  if (status === 403) return { fix: permissionFix(acceptedPermissions(refusal.headers, needs) ?? [needs]) }
  if (status === 404) {
    return {
      fix: `see that the repository is named right; a token that may not see it gets the same answer. ${permissionFix([needs])}`,
    }
  }
  if (status === 422 && /used by an immutable release/.test(refusal.message)) {
    return { fix: 'the tag of an immutable release can never be used again: raise the revision' }
  }
  if (status >= 500) return { fix: 'see githubstatus.com, then run it again: it goes on where it was' }
  return {}
}

/** The lines that give a job's token its permissions. */
function permissionFix(permissions: readonly Permission[]): string {
  return [
    'let the job’s token do that; in the workflow, in the job:',
    '      permissions:',
    ...permissions.map((permission) => `        ${permission}`),
    '    (a personal access token needs the same permissions on the repository)',
  ].join('\n')
}

/**
 * What GitHub says it would have taken: `contents=write` or `contents=write,workflows=write; …` (alternatives); of those
 * the one with `needs` in it, else the first.
 */
function acceptedPermissions(headers: Refusal['headers'], needs: Permission): Permission[] | undefined {
  const alternatives = (headers['x-accepted-github-permissions'] ?? '')
    .split(';')
    .map((alternative) =>
      [...alternative.matchAll(/([a-z_]+)=(read|write)/g)].map(
        ([, name = '', level]): Permission =>
          `${name.replaceAll('_', '-')}: ${level === 'read' ? 'read' : 'write'}`,
      ),
    )
  const permissions = alternatives.find((one) => one.includes(needs)) ?? alternatives[0] ?? []
  return permissions.length === 0 ? undefined : permissions
}

/** Why there was no answer, in a few words: `fetch` hides that in the cause. */
function reason(error: unknown): string {
  let at = error
  while (at instanceof Error && at.cause instanceof Error) at = at.cause
  if (!(at instanceof Error)) return String(at)
  return oneLine(at.message || ('code' in at ? String(at.code) : at.name))
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
