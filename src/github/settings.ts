import { UsageError } from '../report/error.ts'

/** How to reach a repository, and with which token. */
export interface GitHubSettings {
  readonly token: string
  /** `owner/name`. */
  readonly repository: string
  /** Without a slash at its end. */
  readonly apiUrl: string
}

const REPOSITORY = /^[A-Za-z0-9][A-Za-z0-9-]*\/[A-Za-z0-9._-]+$/

/**
 * Reads the settings from the environment of a runner: the token from GITHUB_TOKEN or GH_TOKEN, the repository from
 * `named` or GITHUB_REPOSITORY, the API from GITHUB_API_URL (default: github.com's).
 * @throws UsageError when one is missing
 */
export function gitHubSettings(
  env: NodeJS.ProcessEnv,
  { repository: named }: { repository?: string | undefined } = {},
): GitHubSettings {
  const token = (env.GITHUB_TOKEN || env.GH_TOKEN || '').trim()
  if (token === '') {
    throw new UsageError('no token for GitHub: neither GITHUB_TOKEN nor GH_TOKEN is set', {
      fix: `in a workflow: env: GITHUB_TOKEN: \${{ github.token }}; by hand: export GH_TOKEN=$(gh auth token)`,
    })
  }
  const repository = named || env.GITHUB_REPOSITORY || ''
  if (repository === '') {
    throw new UsageError(
      'no GitHub repository is named: there is neither --repository nor GITHUB_REPOSITORY',
      { fix: 'give --repository OWNER/NAME' },
    )
  }
  if (!REPOSITORY.test(repository)) {
    throw new UsageError(`${repository} does not name a repository on GitHub`, {
      fix: 'a repository is OWNER/NAME, as in acme/platform',
    })
  }
  return { token, repository, apiUrl: apiUrlOf(env.GITHUB_API_URL || 'https://api.github.com') }
}

function apiUrlOf(text: string): string {
  const url = URL.parse(text)
  if (url !== null && /^https?:$/.test(url.protocol)) return text.replace(/\/+$/, '')
  throw new UsageError(`GITHUB_API_URL is ${text}, which is not an http or https address`, {
    fix: 'leave it unset for github.com; GitHub Enterprise Server has https://HOST/api/v3',
  })
}
