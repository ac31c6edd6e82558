import { z } from 'zod'
import { checkJson, jsonOf, whyNot } from '../files/json.ts'
import { readText } from '../files/text-file.ts'
import { parseTag, type Tag } from '../release/format/tag.ts'
import { SeederError } from '../report/error.ts'

/** The event that started a workflow. */
export type WorkflowEvent =
  | { readonly kind: 'pull-request'; readonly number: number; readonly base: string; readonly head: string }
  | { readonly kind: 'push'; readonly before: string; readonly after: string }
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'other'; readonly name: string }

const commit = z.string().regex(/^[0-9a-f]{40,64}$/)
const pullRequest = z.object({
  pull_request: z.object({
    number: z.int().positive(),
    base: z.object({ sha: commit }),
    head: z.object({ sha: commit }),
  }),
})
const push = z.object({ before: commit, after: commit })

/**
 * Reads the event from the runner's variables and the file that they name.
 * @throws SeederError when the file is not as GitHub documents it
 */
export async function readEvent(env: NodeJS.ProcessEnv): Promise<WorkflowEvent> {
  const name = env.GITHUB_EVENT_NAME ?? ''
  const tag = env.GITHUB_REF_TYPE === 'tag' ? parseTag(env.GITHUB_REF_NAME ?? '') : undefined
  if (name === 'push' && tag) return { kind: 'tag', tag }
  const isPullRequest = name === 'pull_request' || name === 'pull_request_target'
  if (!isPullRequest && name !== 'push') return { kind: 'other', name }
  try {
    const payload = jsonOf(await readText(env.GITHUB_EVENT_PATH ?? ''))
    if (!isPullRequest) return { kind: 'push', ...checkJson(payload, push) }
    const { number, base, head } = checkJson(payload, pullRequest).pull_request
    return { kind: 'pull-request', number, base: base.sha, head: head.sha }
  } catch (cause) {
    throw new SeederError(
      `read the event ${name} from GITHUB_EVENT_PATH: it is not as GitHub documents it: ${whyNot(cause)}`,
      { fix: 'run the action in a workflow; a newer version may know the event', cause },
    )
  }
}
