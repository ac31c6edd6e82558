import { Octokit } from '@octokit/rest'
import type { LocalGitHub } from './local-github.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** The real Octokit, for a local GitHub; without a token when none is given. */
export function octokitFor(github: LocalGitHub, token?: string): Octokit {
  return new Octokit({ baseUrl: github.apiUrl, log: silent, ...(token === undefined ? {} : { auth: token }) })
}
