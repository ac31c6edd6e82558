import { createHash, randomBytes } from 'node:crypto'
import type { Octokit } from '@octokit/rest'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { octokitFor } from '../../stand-ins/github/octokit.ts'
import { uploadAsset } from '../../stand-ins/github/upload.ts'

const repo = { owner: 'operator', repo: 'platform' }
let github: LocalGitHub
let octokit: Octokit
let token: string

beforeEach(async () => {
  github = await LocalGitHub.start({ immutable: true })
  token = github.token()
  octokit = octokitFor(github, token)
})

afterEach(async () => {
  await github.stop()
})

/** As `seeder publish` makes it. */
async function draft(tag: string) {
  const wish = { ...repo, tag_name: tag, draft: true, prerelease: true }
  return (await octokit.repos.createRelease(wish)).data
}

async function publish(tag: string) {
  const { id } = await draft(tag)
  return (await octokit.repos.updateRelease({ ...repo, release_id: id, draft: false })).data
}

function upload(release: { upload_url: string }, name: string, content: Buffer) {
  return uploadAsset(release.upload_url, { name, size: content.length, bytes: [content] }, token)
}

describe('a release', () => {
  it('goes from a draft with assets to an immutable pre-release, and to the latest release', async () => {
    const made = await draft('haproxy-3.0.11-1')
    expect(made).toMatchObject({ draft: true, immutable: false, published_at: null })
    expect(made.html_url).toMatch(
      /^https:\/\/github\.com\/operator\/platform\/releases\/tag\/untagged-[0-9a-f]{20}$/,
    )
    const bytes = randomBytes(70_000)
    const { status, body } = await upload(made, 'image.qcow2', bytes)
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    expect(status).toBe(201)
    expect(body).toMatchObject({ name: 'image.qcow2', size: 70_000, state: 'uploaded', digest })
    await expect(octokit.git.getRef({ ...repo, ref: 'tags/haproxy-3.0.11-1' })).rejects.toThrow('Not Found')

    const { data: published } = await octokit.repos.updateRelease({
      ...repo,
      release_id: made.id,
      draft: false,
    })
    expect(published).toMatchObject({ draft: false, prerelease: true, immutable: true })
    expect(published.html_url).toBe('https://github.com/operator/platform/releases/tag/haproxy-3.0.11-1')
    const { data: ref } = await octokit.git.getRef({ ...repo, ref: 'tags/haproxy-3.0.11-1' })
    expect(ref.object).toMatchObject({ type: 'commit', sha: github.git.head() })
    await expect(octokit.repos.getLatestRelease(repo)).rejects.toThrow('Not Found')

    const promotion = { prerelease: false, make_latest: 'true', body: 'promoted' } as const
    await octokit.repos.updateRelease({ ...repo, release_id: made.id, ...promotion })
    const { data: latest } = await octokit.repos.getLatestRelease(repo)
    expect(latest).toMatchObject({ tag_name: 'haproxy-3.0.11-1', body: 'promoted', immutable: true })
  })

  it('is made at the commit that was wished, and one that is not there is refused', async () => {
    const first = github.git.head()
    github.seedCommit({ 'README.md': 'more' })
    const wish = { ...repo, tag_name: 'etcd-3.5.0-1', target_commitish: first }
    await octokit.repos.createRelease(wish)
    expect((await octokit.repos.getCommit({ ...repo, ref: 'etcd-3.5.0-1' })).data.sha).toBe(first)
    const nowhere = { ...repo, tag_name: 'etcd-3.5.0-2', target_commitish: 'f'.repeat(40), draft: true }
    await expect(octokit.repos.createRelease(nowhere)).rejects.toMatchObject({ status: 422 })
  })

  it('as a draft is not there for who may only read, nor by its tag', async () => {
    const made = await draft('haproxy-3.0.11-1')
    const reader = octokitFor(github, github.token({ contents: 'read' }))
    expect((await reader.repos.listReleases(repo)).data).toEqual([])
    expect((await octokit.repos.listReleases(repo)).data).toHaveLength(1)
    await expect(reader.repos.getRelease({ ...repo, release_id: made.id })).rejects.toThrow('Not Found')
    const byTag = { ...repo, tag: 'haproxy-3.0.11-1' }
    await expect(octokit.repos.getReleaseByTag(byTag)).rejects.toThrow('Not Found')
  })

  it('can have the tag of another draft, and not that of a published one', async () => {
    const [first, second] = [await draft('haproxy-3.0.11-1'), await draft('haproxy-3.0.11-1')]
    await octokit.repos.updateRelease({ ...repo, release_id: first.id, draft: false })
    const again = octokit.repos.updateRelease({ ...repo, release_id: second.id, draft: false })
    await expect(again).rejects.toThrow('"code":"already_exists","field":"tag_name"')
  })

  it('that is immutable keeps its assets, its tag and its state', async () => {
    const release = await github.seedRelease({
      tag: 'haproxy-3.0.11-1',
      prerelease: true,
      assets: { a: 'a' },
    })
    const { data } = await octokit.repos.getRelease({ ...repo, release_id: release.id })
    expect(await upload(data, 'b', Buffer.from('b'))).toMatchObject({
      status: 422,
      body: { message: 'Cannot upload assets to an immutable release.' },
    })
    const [asset] = data.assets
    const drop = octokit.repos.deleteReleaseAsset({ ...repo, asset_id: asset?.id ?? 0 })
    await expect(drop).rejects.toThrow('Cannot delete asset from an immutable release')
    const change = (wish: object) => octokit.repos.updateRelease({ ...repo, release_id: release.id, ...wish })
    await expect(change({ draft: true })).rejects.toThrow('state cannot be changed when release is immutable')
    await expect(change({ tag_name: 'x-1-1' })).rejects.toThrow('tag_name cannot be changed')
    const ref = 'tags/haproxy-3.0.11-1'
    const sha = github.seedCommit({})
    await expect(octokit.git.updateRef({ ...repo, ref, sha, force: true })).rejects.toThrow(
      'Cannot update this protected ref',
    )
    await expect(octokit.git.deleteRef({ ...repo, ref })).rejects.toThrow('Cannot delete this protected ref')
  })

  it('that was immutable and is deleted has burned its tag', async () => {
    const { id } = await publish('haproxy-3.0.11-1')
    await octokit.repos.deleteRelease({ ...repo, release_id: id })
    await expect(publish('haproxy-3.0.11-1')).rejects.toThrow('tag_name was used by an immutable release')
    await octokit.git.deleteRef({ ...repo, ref: 'tags/haproxy-3.0.11-1' })
    await expect(publish('haproxy-3.0.11-1')).rejects.toThrow(
      'Cannot create ref due to creations being restricted',
    )
    const ref = { ...repo, ref: 'refs/tags/haproxy-3.0.11-1', sha: github.git.head() }
    await expect(octokit.git.createRef(ref)).rejects.toThrow(
      'Cannot create ref due to creations being restricted',
    )
  })

  it('has a text of a limited length, and assets with plain names', async () => {
    const wish = { ...repo, tag_name: 'a-1-1', draft: true }
    const long = octokit.repos.createRelease({ ...wish, body: 'x'.repeat(125_001) })
    await expect(long).rejects.toThrow('body is too long (maximum is 125000 characters)')
    const { data } = await octokit.repos.createRelease({ ...wish, body: 'x'.repeat(125_000) })
    expect(await upload(data, 'a b.qcow2', Buffer.from('a'))).toMatchObject({ body: { name: 'a.b.qcow2' } })
  })

  it('that is not immutable can be changed, deleted and made again', async () => {
    github.immutable = false
    const made = await publish('haproxy-3.0.11-1')
    expect(await upload(made, 'late', Buffer.from('late'))).toMatchObject({ status: 201 })
    await octokit.repos.deleteRelease({ ...repo, release_id: made.id })
    expect(await publish('haproxy-3.0.11-1')).toMatchObject({ draft: false })
  })

  it('is listed in pages that Octokit finds by their links', async () => {
    for (let revision = 1; revision <= 5; revision++)
      await github.seedRelease({ tag: `etcd-3.5-${revision}` })
    const all = await octokit.paginate(octokit.repos.listReleases, { ...repo, per_page: 2 })
    expect(all.map(({ tag_name }) => tag_name)).toEqual(
      [5, 4, 3, 2, 1].map((revision) => `etcd-3.5-${revision}`),
    )
    expect(github.requests.map(({ query }) => query)).toEqual([
      'per_page=2',
      'per_page=2&page=2',
      'per_page=2&page=3',
    ])
  })

  it('has the latest by make_latest, and the newest full one without', async () => {
    const old = await github.seedRelease({ tag: 'haproxy-3.0.11-1' })
    await github.seedRelease({ tag: 'haproxy-3.0.12-1' })
    expect((await octokit.repos.getLatestRelease(repo)).data.tag_name).toBe('haproxy-3.0.12-1')
    await octokit.repos.updateRelease({ ...repo, release_id: old.id, make_latest: 'true' })
    expect((await octokit.repos.getLatestRelease(repo)).data.tag_name).toBe('haproxy-3.0.11-1')
    const wrong = { ...repo, release_id: old.id, make_latest: 'true', prerelease: true } as const
    await expect(octokit.repos.updateRelease(wrong)).rejects.toThrow(
      'Latest release cannot be draft or prerelease',
    )
  })
})

describe('an annotated tag', () => {
  it('leads to its object and to the commit', async () => {
    const commit = github.git.head()
    const { data: object } = await octokit.git.createTag({
      ...repo,
      tag: 'etcd-3.5-1',
      message: 'Release',
      object: commit,
      type: 'commit',
    })
    await octokit.git.createRef({ ...repo, ref: 'refs/tags/etcd-3.5-1', sha: object.sha })
    const { data: ref } = await octokit.git.getRef({ ...repo, ref: 'tags/etcd-3.5-1' })
    expect(ref.object).toMatchObject({ type: 'tag', sha: object.sha })
    const { data: tag } = await octokit.git.getTag({ ...repo, tag_sha: ref.object.sha })
    expect(tag.object).toMatchObject({ type: 'commit', sha: commit })
    github.seedTag('etcd-3.5-2', ref.object.sha, 'Once more')
    expect((await octokit.repos.getCommit({ ...repo, ref: 'etcd-3.5-2' })).data.sha).toBe(commit)
    const { data: matching } = await octokit.git.listMatchingRefs({ ...repo, ref: 'tags/etcd-' })
    expect(matching.map((each) => each.ref)).toEqual(['refs/tags/etcd-3.5-1', 'refs/tags/etcd-3.5-2'])
  })
})
