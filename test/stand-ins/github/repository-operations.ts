import { z } from 'zod'
import { type Addresses, user } from './addresses.ts'
import { type Call, type Operations, page } from './exchange.ts'
import { notFound, validationFailed } from './failure.ts'
import { type ChangedFile, type Comment, now, type Repository } from './repository.ts'
import { pullAnswer, repositoryAnswer } from './repository-answers.ts'

const METADATA = { metadata: 'read' } as const
const READ_PULLS = { pull_requests: 'read' } as const
const READ_COMMENTS = { issues: 'read', pull_requests: 'read' } as const
const WRITE_COMMENTS = { issues: 'write', pull_requests: 'write' } as const

const MOST = 65_536
const comment = z.object({ body: z.string() })

/** Of a request. Throws Refusal. */
function commentBody(call: Call): string {
  const { body } = comment.parse(call.body)
  if (body.length <= MOST) return body
  const message = `Body is too long (maximum is ${MOST} characters)`
  throw validationFailed({ resource: 'IssueComment', code: 'unprocessable', field: 'data', message })
}

/** The operations on the repository itself, on pull requests and on comments. */
export function repositoryOperations(addresses: Addresses, repository: Repository): Operations {
  const answer = (found: Comment, status = 200) => ({
    status,
    body: commentAnswer(addresses, repository, found),
  })
  const wanted = (id: string | undefined): Comment => {
    const found = repository.comments.find((each) => each.id === Number(id))
    if (!found) throw notFound()
    return found
  }

  return {
    'repos/get': {
      needs: METADATA,
      answer: () => ({ status: 200, body: repositoryAnswer(addresses, repository) }),
    },
    'pulls/get': {
      needs: READ_PULLS,
      answer(call) {
        const found = repository.pull(Number(call.params.pull_number))
        return { status: 200, body: pullAnswer(addresses, repository, found) }
      },
    },
    'pulls/list-files': {
      needs: READ_PULLS,
      answer(call) {
        const { files } = repository.pull(Number(call.params.pull_number))
        return page(call, files, (some) => some.map((file) => changedAnswer(addresses, repository, file)))
      },
    },
    'issues/list-comments': {
      needs: READ_COMMENTS,
      answer(call) {
        const { number } = repository.pull(Number(call.params.issue_number))
        const found = repository.comments.filter(({ issue }) => issue === number)
        return page(call, found, (some) => some.map((each) => commentAnswer(addresses, repository, each)))
      },
    },
    'issues/get-comment': { needs: READ_COMMENTS, answer: (call) => answer(wanted(call.params.comment_id)) },
    'issues/create-comment': {
      needs: WRITE_COMMENTS,
      answer(call) {
        const { number } = repository.pull(Number(call.params.issue_number))
        const body = commentBody(call)
        const made = { id: repository.nextId(), issue: number, body, createdAt: now(), updatedAt: now() }
        repository.comments.push(made)
        return answer(made, 201)
      },
    },
    'issues/update-comment': {
      needs: WRITE_COMMENTS,
      answer(call) {
        const found = wanted(call.params.comment_id)
        Object.assign(found, { body: commentBody(call), updatedAt: now() })
        return answer(found)
      },
    },
    'issues/delete-comment': {
      needs: WRITE_COMMENTS,
      answer(call) {
        repository.comments.splice(repository.comments.indexOf(wanted(call.params.comment_id)), 1)
        return { status: 204 }
      },
    },
  }
}

function commentAnswer(addresses: Addresses, repository: Repository, found: Comment) {
  const api = `${addresses.api}/repos/${repository.fullName}/issues`
  const web = `${addresses.web}/${repository.fullName}/issues/${found.issue}`
  return {
    id: found.id,
    node_id: `IC_${found.id}`,
    url: `${api}/comments/${found.id}`,
    body: found.body,
    html_url: `${web}#issuecomment-${found.id}`,
    issue_url: `${api}/${found.issue}`,
    created_at: found.createdAt,
    updated_at: found.updatedAt,
    author_association: 'NONE',
    user: user(addresses, 'github-actions[bot]'),
  }
}

function changedAnswer(addresses: Addresses, repository: Repository, file: ChangedFile) {
  const web = `${addresses.web}/${repository.fullName}`
  const sha = repository.head()
  return {
    sha,
    filename: file.filename,
    status: file.status,
    additions: 1,
    deletions: 1,
    changes: 2,
    blob_url: `${web}/blob/${sha}/${file.filename}`,
    raw_url: `${web}/raw/${sha}/${file.filename}`,
    contents_url: `${addresses.api}/repos/${repository.fullName}/contents/${file.filename}?ref=${sha}`,
    ...(file.previous === undefined ? {} : { previous_filename: file.previous }),
  }
}
