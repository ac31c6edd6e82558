import { connect } from '../../../src/github/client.ts'
import type { Releases } from '../../../src/github/release.ts'
import { createProgress, type Progress } from '../../../src/report/progress.ts'
import type { LocalGitHub } from '../../stand-ins/github/local-github.ts'

/** The client of the product, of the local GitHub's repository. */
export function releasesOf(
  github: LocalGitHub,
  {
    token = github.token(),
    signal = new AbortController().signal,
    notes = [],
  }: { token?: string; signal?: AbortSignal; notes?: string[] } = {},
): Releases {
  const { apiUrl, repository } = github
  return connect({ token, apiUrl, repository, signal, note: (text) => notes.push(text) }).releases
}

/** Progress that is kept instead of shown. */
export function keptProgress(notes: string[] = []): Progress {
  return createProgress({ write: (text) => notes.push(text.trim()) }, {})
}
