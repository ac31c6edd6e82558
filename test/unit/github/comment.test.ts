import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../../src/github/client.ts'
import { writeStickyComment } from '../../../src/github/comment.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'

let github: LocalGitHub
beforeEach(async () => {
  github = await LocalGitHub.start()
  github.seedPullRequest({ number: 7, files: ['platform.yaml'] })
})
afterEach(() => github.stop())

const reach = (token = github.token({ 'pull-requests': 'write' })) =>
  connect({
    token,
    repository: github.repository,
    apiUrl: github.apiUrl,
    signal: new AbortController().signal,
  })
const marker = '<!-- seeder: test -->'
const write = (text: string, onlyChange = false) =>
  writeStickyComment(reach(), 7, { marker, text, onlyChange })
const bodies = () => [...github.git.comments.values()].map(({ body }) => body)

describe('the one comment of a pull request', () => {
  it('is created once and then changed', async () => {
    expect(await write('first')).toMatchObject({
      what: 'made',
      url: expect.stringContaining('/7#issuecomment-'),
    })
    expect(await write('second')).toMatchObject({ what: 'changed' })
    expect(await write('second')).toMatchObject({ what: 'unchanged' })
    expect(bodies()).toEqual([`${marker}\nsecond`])
  })

  it('is not created with onlyChange, but changed', async () => {
    expect(await write('nothing', true)).toBeUndefined()
    expect(bodies()).toEqual([])
    await write('something')
    expect(await write('nothing', true)).toMatchObject({ what: 'changed' })
    expect(bodies()).toEqual([`${marker}\nnothing`])
  })

  it('is the only one again after two runs created one each, and others stay', async () => {
    const { octokit } = reach()
    const place = { owner: 'operator', repo: 'platform', issue_number: 7 }
    for (const body of ['a question', `${marker}\none`, `${marker}\ntwo`, `what is ${marker}?`]) {
      await octokit.issues.createComment({ ...place, body })
    }
    await write('three')
    expect(bodies()).toEqual(['a question', `${marker}\nthree`, `what is ${marker}?`])
  })

  it('is cut at a line where GitHub would refuse it', async () => {
    await write('line\n'.repeat(20_000))
    const [body = ''] = bodies()
    expect(body.length).toBeLessThan(65_536)
    expect(body).toMatch(/line\n\n…and more: the summary of the run has all of it\.\n$/)
  })

  it('names the permission that is missing', async () => {
    const denied = writeStickyComment(reach(github.token({ contents: 'read' })), 7, { marker, text: 'x' })
    await expect(denied).rejects.toMatchObject({
      message: expect.stringContaining('comment on pull request 7 of operator/platform'),
      fix: expect.stringContaining('pull-requests: write'),
    })
  })
})
