import { afterEach, describe, expect, it, vi } from 'vitest'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { octokitFor } from '../../stand-ins/github/octokit.ts'

const repo = { owner: 'operator', repo: 'platform' }
let github: LocalGitHub

afterEach(async () => {
  await github.stop().catch(() => undefined)
})

describe('a token', () => {
  it('that lacks a permission is refused with its name', async () => {
    github = await LocalGitHub.start()
    const reader = octokitFor(github, github.token({ contents: 'read', 'pull-requests': 'read' }))
    const refused = await reader.repos.createRelease({ ...repo, tag_name: 'a-1-1' }).catch((error) => error)
    expect(refused).toMatchObject({
      status: 403,
      response: { headers: { 'x-accepted-github-permissions': 'contents=write' } },
    })
    expect(refused.message).toContain('Resource not accessible by integration')
    github.seedPullRequest({ number: 7, files: ['images/etcd/image.yaml'] })
    const comment = { ...repo, issue_number: 7, body: 'hello' }
    await expect(reader.issues.createComment(comment)).rejects.toMatchObject({
      response: { headers: { 'x-accepted-github-permissions': 'issues=write; pull_requests=write' } },
    })
    const commenter = octokitFor(github, github.token({ 'pull-requests': 'write' }))
    expect((await commenter.issues.createComment(comment)).status).toBe(201)
  })

  it('that is wrong, or that has expired, is bad', async () => {
    github = await LocalGitHub.start()
    await expect(octokitFor(github, 'ghs_wrong').repos.get(repo)).rejects.toMatchObject({ status: 401 })
    const token = github.token()
    github.expireToken(token, { after: 1 })
    const octokit = octokitFor(github, token)
    expect((await octokit.repos.get(repo)).status).toBe(200)
    await expect(octokit.repos.get(repo)).rejects.toThrow('Bad credentials')
  })

  it('is not needed to read what is public, and is for what is private', async () => {
    github = await LocalGitHub.start()
    expect((await octokitFor(github).repos.listReleases(repo)).status).toBe(200)
    await expect(octokitFor(github).repos.createRelease({ ...repo, tag_name: 'a' })).rejects.toMatchObject({
      status: 401,
    })
    github.git.private = true
    await expect(octokitFor(github).repos.listReleases(repo)).rejects.toMatchObject({ status: 404 })
    const { data } = await octokitFor(github, github.token({})).repos.get(repo)
    expect(data).toMatchObject({ private: true, visibility: 'private' })
  })

  it('leads to no other repository', async () => {
    github = await LocalGitHub.start()
    const other = octokitFor(github, github.token()).repos.get({ owner: 'operator', repo: 'other' })
    await expect(other).rejects.toThrow('Not Found')
  })
})

describe('a request', () => {
  it('that GitHub does not take is refused with 422', async () => {
    github = await LocalGitHub.start()
    const octokit = octokitFor(github, github.token())
    const wrong = octokit.request('POST /repos/{owner}/{repo}/releases', {
      ...repo,
      tag_name: 7 as unknown as string,
    })
    await expect(wrong).rejects.toMatchObject({ status: 422 })
    const body = { prerelease: 'yes' as unknown as boolean }
    const { id } = await github.seedRelease({ tag: 'a-1-1' })
    await expect(octokit.repos.updateRelease({ ...repo, release_id: id, ...body })).rejects.toMatchObject({
      status: 422,
    })
  })

  it('for what the local GitHub does not have fails the test', async () => {
    github = await LocalGitHub.start()
    const octokit = octokitFor(github, github.token())
    const printed = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    await expect(octokit.repos.listTags(repo)).rejects.toMatchObject({ status: 501 })
    await expect(github.stop()).rejects.toThrow('does not have GET /repos/operator/platform/tags')
    expect(printed).toHaveBeenCalledOnce()
    printed.mockRestore()
  })
})

describe('pull requests, comments and files', () => {
  it('are there', async () => {
    github = await LocalGitHub.start()
    const octokit = octokitFor(github, github.token())
    const files = ['images/etcd/image.yaml', { filename: 'b', previous: 'a', status: 'renamed' as const }]
    github.seedPullRequest({ number: 7, files, fork: true })
    const { data: pull } = await octokit.pulls.get({ ...repo, pull_number: 7 })
    expect(pull.head.repo?.full_name).toBe('contributor/platform')
    const { data: changed } = await octokit.pulls.listFiles({ ...repo, pull_number: 7 })
    expect(changed).toMatchObject([{ filename: 'images/etcd/image.yaml' }, { previous_filename: 'a' }])
    const { data: made } = await octokit.issues.createComment({ ...repo, issue_number: 7, body: 'one' })
    await octokit.issues.updateComment({ ...repo, comment_id: made.id, body: 'two' })
    expect((await octokit.issues.listComments({ ...repo, issue_number: 7 })).data).toMatchObject([
      { body: 'two' },
    ])
    const long = { ...repo, comment_id: made.id, body: 'x'.repeat(65_537) }
    await expect(octokit.issues.updateComment(long)).rejects.toThrow(
      'Body is too long (maximum is 65536 characters)',
    )
    await octokit.issues.deleteComment({ ...repo, comment_id: made.id })
    expect(github.git.comments).toEqual([])

    const sha = github.seedCommit({ 'images/etcd/image.yaml': 'name: etcd\n' })
    const file = { ...repo, path: 'images/etcd/image.yaml', ref: sha }
    const { data } = await octokit.repos.getContent(file)
    expect(data).toMatchObject({ type: 'file', content: Buffer.from('name: etcd\n').toString('base64') })
    const raw = await octokit.repos.getContent({ ...file, mediaType: { format: 'raw' } })
    expect(raw.data).toBe('name: etcd\n')
    await expect(octokit.repos.getContent({ ...file, path: 'nothing' })).rejects.toThrow('Not Found')
    const folder = (await octokit.repos.getContent({ ...repo, path: 'images' })).data
    expect(folder).toMatchObject([{ type: 'dir', path: 'images/etcd' }])
  })
})
