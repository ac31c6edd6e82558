import { z } from 'zod'
import { SeederError } from '../report/error.ts'

/** The permission that a call to GitHub needs, as a workflow grants it. */
export type Permission = `${string}: ${'read' | 'write'}`

/** An error response of GitHub. */
export interface Refusal {
  readonly status: number
  /** GitHub's message, on one line. */
  readonly message: string
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** A `Refusal` of a transfer. */
export class RefusedError extends Error implements Refusal {
  readonly status: number
  readonly headers: Refusal['headers']

  constructor({ status, message, headers }: Refusal) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

/** The refusal in an error of Octokit or of a transfer; undefined without a response (Octokit's status is 500 then). */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof RefusedError) return error
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return undefined
  if (!('response' in error) || typeof error.response !== 'object' || error.response === null)
    return undefined
  const { response } = error
  return {
    status: error.status,
    message: ('data' in response ? complaintOf(response.data) : undefined) ?? collapsed(error.message),
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

/** The message in the body of a refusal, on one line; undefined when the API did not send it. */
export function complaintOf(body: unknown): string | undefined {
  const { data } = complaintSchema.safeParse(body)
  if (data === undefined) return undefined
  const details = (data.errors ?? []).map(({ message, code }) => message ?? code ?? '').filter(Boolean)
  return collapsed(details.length === 0 ? data.message : `${data.message}: ${details.join(', ')}`)
}

/**
 * The error for a person. `doing` is what was attempted, as in "list the releases of acme/platform". The fix for a
 * missing permission has the lines to add to the workflow.
 */
export function gitHubFailure(doing: string, error: unknown, needs: Permission): SeederError {
  if (error instanceof SeederError) return error
  const refusal = refusalOf(error)
  if (refusal === undefined) {
    return new SeederError(`could not ${doing}: ${reason(error)}`, {
      fix: 'check that this machine reaches GitHub (githubstatus.com), then run it again',
      cause: error,
    })
  }
  const message = `could not ${doing}: GitHub answered ${refusal.status} (${refusal.message})`
  return new SeederError(message, { ...fixOf(refusal, needs), cause: error })
}

/** Whether GitHub refused because of too many requests. */
export function isRateLimit({ status, message, headers }: Refusal): boolean {
  if (status === 429) return true
  return status === 403 && (/rate limit/i.test(message) || headers['x-ratelimit-remaining'] === '0')
}

function fixOf(refusal: Refusal, needs: Permission): { fix?: string } {
  const { status } = refusal
  if (isRateLimit(refusal))
    return { fix: 'wait some minutes, then run it again: it continues where it stopped' }
  if (status === 401) {
    return { fix: 'give a token that is valid: a job’s own token ends with the job, others expire' }
  }
  if (status === 403 && /workflows=write/.test(refusal.headers['x-accepted-github-permissions'] ?? '')) {
    // GitHub requires it when a commit's workflows differ from those of the default branch; no job's token can have it.
    return {
      fix: 'the workflows of the default branch changed after this commit, and a job’s token may then not make its tag: build and publish the newest commit of that branch',
    }
  }
  if (status === 403) return { fix: permissionFix(acceptedPermissions(refusal.headers, needs) ?? [needs]) }
  if (status === 404) {
    return {
      fix: `check the name of the repository; a token without access gets the same answer. ${permissionFix([needs])}`,
    }
  }
  if (status === 422 && /used by an immutable release/.test(refusal.message)) {
    return { fix: 'the tag of an immutable release can never be used again: raise the revision' }
  }
  if (status >= 500) return { fix: 'see githubstatus.com, then run it again: it continues where it stopped' }
  return {}
}

/** The lines that give a job's token its permissions. */
function permissionFix(permissions: readonly Permission[]): string {
  return [
    'grant the permission to the job’s token; in the workflow, in the job:',
    '      permissions:',
    ...permissions.map((permission) => `        ${permission}`),
    '    (a personal access token needs the same permissions on the repository)',
  ].join('\n')
}

/**
 * The permissions that GitHub would have accepted: `contents=write` or `contents=write,workflows=write; …`
 * (alternatives). Of those, the one with `needs`, else the first.
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
  const permissions = alternatives.find((alternative) => alternative.includes(needs)) ?? alternatives[0] ?? []
  return permissions.length === 0 ? undefined : permissions
}

/** Why there was no response: `fetch` hides the reason in the cause. */
function reason(error: unknown): string {
  let root = error
  while (root instanceof Error && root.cause instanceof Error) root = root.cause
  if (!(root instanceof Error)) return String(root)
  return collapsed(root.message || ('code' in root ? String(root.code) : root.name))
}

function collapsed(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
