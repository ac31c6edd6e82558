import type { GitHub } from './client.ts'
import { placeOf, request } from './request.ts'

/** The result for a comment. */
export interface WrittenComment {
  readonly what: 'made' | 'changed' | 'unchanged'
  /** The page for people. */
  readonly url: string
}

/** GitHub's limit is 65536 characters. */
const LONGEST = 65_000

// Others may quote or forge the marker.
const trustedRoles = ['OWNER', 'MEMBER', 'COLLABORATOR']

interface FoundComment {
  readonly id: number
  readonly body?: string | undefined
  readonly html_url: string
  readonly author_association?: string | undefined
  readonly user: { readonly type: string } | null
}

/**
 * Creates or changes the only comment of a pull request that begins with `marker`, an HTML comment, and deletes
 * duplicates, which two parallel runs may have left. With `onlyChange` no comment is created.
 * @returns undefined when there is no comment
 * @throws SeederError with the permission that is missing
 */
export async function writeStickyComment(
  github: GitHub,
  pull: number,
  comment: { readonly marker: string; readonly text: string; readonly onlyChange?: boolean },
): Promise<WrittenComment | undefined> {
  const { octokit, repository } = github
  const { owner, repo } = placeOf(repository)
  const body = withinLimit(`${comment.marker}\n${comment.text}`)
  return request(`comment on pull request ${pull} of ${repository}`, 'pull-requests: write', async () => {
    const comments = await octokit.paginate(octokit.issues.listComments, {
      owner,
      repo,
      issue_number: pull,
      per_page: 100,
    })
    const [first, ...duplicates] = comments.filter((found) => isOurs(found, comment.marker))
    for (const { id } of duplicates) await octokit.issues.deleteComment({ owner, repo, comment_id: id })
    if (first === undefined) {
      if (comment.onlyChange) return undefined
      const { data } = await octokit.issues.createComment({ owner, repo, issue_number: pull, body })
      return { what: 'made', url: data.html_url }
    }
    // GitHub marks an update without a change as an edit, too.
    if (first.body === body) return { what: 'unchanged', url: first.html_url }
    const { data } = await octokit.issues.updateComment({ owner, repo, comment_id: first.id, body })
    return { what: 'changed', url: data.html_url }
  })
}

function isOurs({ body, user, author_association }: FoundComment, marker: string): boolean {
  const trusted = user?.type === 'Bot' || trustedRoles.includes(author_association ?? '')
  return trusted && (body ?? '').startsWith(marker)
}

function withinLimit(body: string): string {
  if (body.length <= LONGEST) return body
  const cut = body.slice(0, LONGEST)
  return `${cut.slice(0, cut.lastIndexOf('\n'))}\n\n…and more: the summary of the run has all of it.\n`
}
