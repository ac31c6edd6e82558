import { gitHubFailure, type Permission, refusalOf } from './failure.ts'

/** Sends a request to GitHub. A failure is thrown as SeederError, with the permission that `needs` names. */
export async function request<T>(doing: string, needs: Permission, send: () => Promise<T>): Promise<T> {
  try {
    return await send()
  } catch (error) {
    throw gitHubFailure(doing, error, needs)
  }
}

/** For `catch`, of what may not be there: undefined then. */
export function unlessGone(error: unknown): undefined {
  if (refusalOf(error)?.status === 404) return undefined
  throw error
}

/** A repository's `owner/name` as Octokit takes it. */
export function placeOf(repository: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/')
  return { owner, repo }
}
