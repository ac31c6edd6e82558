import { afterEach, beforeEach, expect, it } from 'vitest'
import { gitHubChanges } from '../../../src/github/changes.ts'
import { connect } from '../../../src/github/client.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'

let github: LocalGitHub
beforeEach(async () => {
  github = await LocalGitHub.start({ private: true })
})
afterEach(() => github.stop())

function changes(standpoint: { prefix?: string; workflow?: string } = {}, token = github.token()) {
  const { repository, apiUrl } = github
  const reached = connect({ token, repository, apiUrl, signal: new AbortController().signal })
  const comparison = { kind: 'pull-request', number: 7, base: github.git.head() } as const
  return gitHubChanges(reached, comparison, { prefix: '', ...standpoint })
}

it('names the files of a pull request, also the old name of a renamed one', async () => {
  github.seedPullRequest({
    number: 7,
    files: ['platform.yaml', { filename: 'images/b.yaml', status: 'renamed', previous: 'images/a.yaml' }],
  })
  expect(await changes().paths()).toEqual(['platform.yaml', 'images/b.yaml', 'images/a.yaml'])
})

it('names more than one page of them, and below the project’s folder only', async () => {
  const files = Array.from({ length: 130 }, (_, index) => `platform/file-${index}`)
  github.seedPullRequest({ number: 7, files: ['README.md', ...files] })
  const paths = await changes({ prefix: 'platform/' }).paths()
  expect(paths).toHaveLength(130)
  expect(paths?.at(-1)).toBe('file-129')
})

it('treats a change of the calling workflow as a change of everything', async () => {
  github.seedPullRequest({ number: 7, files: ['.github/workflows/images.yml'] })
  expect(await changes({ workflow: '.github/workflows/images.yml' }).paths()).toBeUndefined()
  expect(await changes({ workflow: '.github/workflows/other.yml' }).paths()).toHaveLength(1)
})

it('names the files of a push; not when there are more than GitHub names, nor for a new branch', async () => {
  const { repository, apiUrl } = github
  const signal = new AbortController().signal
  const reached = connect({ token: github.token({ contents: 'read' }), repository, apiUrl, signal })
  const before = github.seedCommit({ 'README.md': 'one' })
  const after = github.seedCommit({ 'README.md': 'two', 'platform.yaml': '' })
  const pushed = (from: string, to: string) =>
    gitHubChanges(reached, { kind: 'push', before: from, after: to }, { prefix: '' })
  expect(await pushed(before, after).paths()).toEqual(['README.md', 'platform.yaml'])
  expect(await pushed(before, after).before('README.md')).toBe('one')

  expect(await pushed('0'.repeat(40), after).paths()).toBeUndefined()
  // A branch that was pushed over: what it was before is not there any more.
  expect(await pushed('f'.repeat(40), after).paths()).toBeUndefined()
  const files = Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`file-${index}`, 'x']))
  expect(await pushed(after, github.seedCommit(files)).paths()).toBeUndefined()
})

it('reads a file before the change, or reports that it did not exist', async () => {
  github.seedCommit({ 'platform/images/a/image.lock.json': '{"schema":1}\n' })
  github.seedPullRequest({ number: 7, files: [] })
  const before = changes({ prefix: 'platform/' })
  expect(await before.before('images/a/image.lock.json')).toBe('{"schema":1}\n')
  expect(await before.before('images/b/image.lock.json')).toBeUndefined()
})

it('names the permission that is missing', async () => {
  github.seedPullRequest({ number: 7, files: [] })
  await expect(changes({}, github.token({ contents: 'read' })).paths()).rejects.toMatchObject({
    fix: expect.stringContaining('pull-requests: read'),
  })
})
