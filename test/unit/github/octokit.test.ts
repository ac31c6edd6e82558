import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../../src/github/client.ts'
import { answers } from '../../stand-ins/github/faults.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { releasesOf } from '../../support/release/connected.ts'

let github: LocalGitHub
let notes: string[]

beforeEach(async () => {
  notes = []
  github = await LocalGitHub.start()
})

afterEach(() => github.stop())

describe('a request to GitHub', () => {
  it.each([
    ['fails with 502', answers.badGateway],
    ['is reset', 'reset'],
    ['loses its answer', 'lose-answer'],
  ] as const)('that %s is repeated', async (_, misbehaviour) => {
    github.faults.add({ on: 'api', do: misbehaviour })
    await expect(releasesOf(github).list()).resolves.toEqual([])
    expect(github.requests).toHaveLength(2)
  })

  it('waits when GitHub requires it, and reports it', async () => {
    github.faults.add({ on: 'api', do: answers.secondaryRateLimit(1) })
    await expect(releasesOf(github, { notes }).list()).resolves.toEqual([])
    expect(notes).toEqual(['GitHub requires a wait of 1.0 s'])
  })

  it('does not wait for an hour', async () => {
    const inAnHour = new Date(Date.now() + 3_600_000)
    github.faults.add({ on: 'api', times: 9, do: answers.primaryRateLimit(inAnHour) })
    await expect(releasesOf(github, { notes }).list()).rejects.toMatchObject({
      message: expect.stringContaining('API rate limit exceeded'),
      fix: expect.stringContaining('wait some minutes'),
    })
    expect(notes).toEqual([])
  })

  it('ends while it waits when it is stopped', async () => {
    const stop = new AbortController()
    github.faults.add({ on: 'api', times: 9, do: answers.secondaryRateLimit(200) })
    const listed = releasesOf(github, { notes, signal: stop.signal }).list()
    const ended = expect(listed).rejects.toThrow()
    await expect.poll(() => notes).toHaveLength(1)
    stop.abort('SIGINT')
    await ended
    expect(github.requests).toHaveLength(1)
  })

  it('pages through everything', async () => {
    for (let at = 1; at <= 101; at++) await github.seedRelease({ tag: `haproxy-3.0.${at}-1` })
    const found = await releasesOf(github).list()
    expect(new Set(found.map(({ tag }) => tag)).size).toBe(101)
  })

  it('for a repository without access is an error with a fix', async () => {
    const { apiUrl } = github
    const elsewhere = connect({
      token: github.token(),
      apiUrl,
      repository: 'operator/other',
      signal: new AbortController().signal,
    })
    await expect(elsewhere.releases.list()).rejects.toMatchObject({
      message: 'could not list the releases of operator/other: GitHub answered 404 (Not Found)',
      fix: expect.stringContaining('check the name'),
    })
  })
})
