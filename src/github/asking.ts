import { gitHubFailure, type Permission, refusalOf } from './failure.ts'

/** Asks GitHub for something. What fails is thrown as SeederError, with the permission that `needs` names. */
export async function ask<T>(doing: string, needs: Permission, request: () => Promise<T>): Promise<T> {
  try {
    return await request()
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
