import type { Changes } from '../image/affected.ts'
import type { GitHub } from './client.ts'
import { placeOf, request, unlessGone } from './request.ts'

/** Two states of a repository to compare. */
export type CommitRange =
  | { readonly kind: 'pull-request'; readonly number: number; readonly base: string }
  | { readonly kind: 'push'; readonly before: string; readonly after: string }

/** The project's folder in the repository, and the workflow that runs. */
export interface ProjectLocation {
  /** With a slash at its end; '' for the root of the repository. */
  readonly prefix: string
  /** The path of that workflow: it sets the version of Seeder, so a change of it affects every image. */
  readonly workflow?: string | undefined
}

// Maximum files that GitHub lists of a pull request and of a comparison.
const PULL_REQUEST_FILES = 3_000
const COMPARISON_FILES = 300

/** The changes between two states of a repository, from GitHub. */
export function gitHubChanges(
  github: GitHub,
  comparison: CommitRange,
  { prefix, workflow }: ProjectLocation,
): Changes {
  return {
    async paths() {
      const { files, complete } = await changedFiles(github, comparison)
      const paths = new Set(files.flatMap((file) => [file.filename, file.previous_filename ?? []].flat()))
      if (!complete || (workflow !== undefined && paths.has(workflow))) return undefined
      return [...paths].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length))
    },
    before: (path) =>
      textAt(
        github,
        `${prefix}${path}`,
        comparison.kind === 'pull-request' ? comparison.base : comparison.before,
      ),
  }
}

interface ChangedFiles {
  readonly files: readonly { filename: string; previous_filename?: string | undefined }[]
  readonly complete: boolean
}

async function changedFiles(github: GitHub, comparison: CommitRange): Promise<ChangedFiles> {
  const { octokit, repository } = github
  if (comparison.kind === 'pull-request') {
    const { number } = comparison
    const files = await request(
      `list the files of pull request ${number} of ${repository}`,
      'pull-requests: read',
      () =>
        octokit.paginate(octokit.pulls.listFiles, {
          ...placeOf(repository),
          pull_number: number,
          per_page: 100,
        }),
    )
    return { files, complete: files.length < PULL_REQUEST_FILES }
  }
  // A new branch has no earlier state.
  if (/^0+$/.test(comparison.before)) return { files: [], complete: false }
  const basehead = `${comparison.before}...${comparison.after}`
  const files = await request(`compare ${basehead} of ${repository}`, 'contents: read', async () => {
    const answer = await octokit.repos
      .compareCommitsWithBasehead({ ...placeOf(repository), basehead })
      .catch(unlessGone)
    return answer?.data.files
  })
  return { files: files ?? [], complete: files !== undefined && files.length < COMPARISON_FILES }
}

/** The text of a file at a commit; undefined when there is no such file. */
function textAt(github: GitHub, path: string, ref: string): Promise<string | undefined> {
  const { octokit, repository } = github
  return request(`read ${path} of ${repository} at ${ref}`, 'contents: read', async () => {
    const answer = await octokit.repos
      .getContent({ ...placeOf(repository), path, ref, mediaType: { format: 'raw' } })
      .catch(unlessGone)
    return answer === undefined ? undefined : String(answer.data)
  })
}
