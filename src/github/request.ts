import { gitHubFailure, type Permission, refusalOf } from './failure.ts'

/**
 * Sends a request to GitHub.
 * @throws SeederError with the permission `needs` when GitHub refuses it
 */
export async function request<T>(doing: string, needs: Permission, send: () => Promise<T>): Promise<T> {
  try {
    return await send()
  } catch (error) {
    throw gitHubFailure(doing, error, needs)
  }
}

/** For `catch`: undefined for what does not exist. */
export function unlessGone(error: unknown): undefined {
  if (refusalOf(error)?.status === 404) return undefined
  throw error
}

/** A repository's `owner/name` in the form for Octokit. */
export function placeOf(repository: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/')
  return { owner, repo }
}
