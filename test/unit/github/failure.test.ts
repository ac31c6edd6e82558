import { describe, expect, it } from 'vitest'
import { gitHubFailure, RefusedError } from '../../../src/github/failure.ts'
import { waitBeforeRetry } from '../../../src/github/retry.ts'

function refused(status: number, message: string, headers: Record<string, string> = {}): RefusedError {
  return new RefusedError({ status, message, headers })
}

function failure(status: number, message: string, headers: Record<string, string> = {}) {
  return gitHubFailure('make a draft', refused(status, message, headers), 'contents: write')
}

describe('a refusal of GitHub', () => {
  it('of a permission has the lines to add', () => {
    const error = failure(403, 'Resource not accessible by integration')
    expect(error.message).toBe(
      'could not make a draft: GitHub answered 403 (Resource not accessible by integration)',
    )
    expect(error.fix).toContain('      permissions:\n        contents: write\n')
  })

  it('that names the permissions is used', () => {
    const accepting = (rights: string) =>
      failure(403, 'Resource not accessible by integration', { 'x-accepted-github-permissions': rights }).fix
    const fix = accepting('issues=write,pull_requests=read; checks=write')
    expect(fix).toContain('        issues: write\n        pull-requests: read\n')
    expect(fix).not.toContain('contents')
    // No job can have this one.
    expect(accepting('contents=write,workflows=write')).toMatch(/newest commit/)
    // Of several ways the one that the job was meant to have.
    expect(accepting('issues=write; contents=write')).not.toContain('issues')
  })

  it.each([
    [401, 'Bad credentials', /token that is valid/],
    [404, 'Not Found', /check the name.*contents: write/s],
    [403, 'You have exceeded a secondary rate limit', /wait some minutes/],
    [429, 'Too many requests', /wait some minutes/],
    [502, 'Server Error', /githubstatus/],
    [422, 'Validation Failed: tag_name was used by an immutable release', /raise the revision/],
  ])('%i (%s) says what to do', (status, message, fix) => {
    expect(failure(status, message).fix).toMatch(fix)
  })

  it('without a response says why there was no connection', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:9'), { code: 'ECONNREFUSED' })
    const error = gitHubFailure('list', new TypeError('fetch failed', { cause }), 'contents: read')
    expect(error.message).toBe('could not list: connect ECONNREFUSED 127.0.0.1:9')
  })
})

describe('whether a transfer is tried again', () => {
  it('waits longer each time, and gives up', () => {
    const waits = [1, 2, 3, 4, 5].map((attempt) => waitBeforeRetry(attempt, refused(502, '')))
    expect(waits).toEqual([1000, 2000, 4000, 8000, undefined])
  })

  it('waits as long as required, within minutes', () => {
    expect(waitBeforeRetry(1, refused(429, '', { 'retry-after': '7' }))).toBe(7000)
    expect(waitBeforeRetry(1, refused(503, '', { 'retry-after': '0' }))).toBe(0)
    expect(waitBeforeRetry(1, refused(429, '', { 'retry-after': '3600' }))).toBeUndefined()
    const date = new Date(Date.now() + 60_000).toUTCString()
    expect(waitBeforeRetry(1, refused(429, '', { 'retry-after': date }))).toBeGreaterThan(50_000)
  })

  it('does not repeat what was refused', () => {
    for (const status of [400, 401, 403, 404, 413, 422]) {
      expect(waitBeforeRetry(1, refused(status, 'no')), String(status)).toBeUndefined()
    }
    expect(waitBeforeRetry(1, refused(403, 'secondary rate limit'))).toBe(1000)
    expect(waitBeforeRetry(1, new Error('socket hang up'))).toBe(1000)
  })
})
