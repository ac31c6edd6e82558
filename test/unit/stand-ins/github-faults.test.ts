import { createHash, randomBytes } from 'node:crypto'
import { get, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import type { Octokit } from '@octokit/rest'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { answers, type Misbehaviour } from '../../stand-ins/github/faults.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { octokitFor } from '../../stand-ins/github/octokit.ts'
import { uploadAsset } from '../../stand-ins/github/upload.ts'

const repo = { owner: 'operator', repo: 'platform' }
const content = randomBytes(300_000)
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
let github: LocalGitHub
let octokit: Octokit
let token: string

beforeEach(async () => {
  github = await LocalGitHub.start()
  token = github.token()
  octokit = octokitFor(github, token)
})

afterEach(async () => {
  await github.stop()
})

describe('an upload', () => {
  const begin = async () =>
    (await octokit.repos.createRelease({ ...repo, tag_name: 'a-1-1', draft: true })).data
  const upload = (release: { upload_url: string }) =>
    uploadAsset(release.upload_url, { name: 'a.qcow2', size: content.length, bytes: [content] }, token)
  const stored = async (release: { id: number }) =>
    (await octokit.repos.getRelease({ ...repo, release_id: release.id })).data.assets

  it.each<Misbehaviour>([{ resetAfter: 65_536 }, answers.badGateway])(
    'that breaks off leaves a starter that holds the name: %j',
    async (fault) => {
      const release = await begin()
      github.faults.add({ on: 'upload', match: /name=a\.qcow2/, do: fault })
      const outcome = await upload(release).then(
        ({ status }) => status,
        (error) => error.code,
      )
      expect(outcome).toBeOneOf([502, 'ECONNRESET', 'EPIPE'])
      const [left] = await stored(release)
      expect(left).toMatchObject({ name: 'a.qcow2', state: 'starter', size: 0, digest: null })
      const refusal = { errors: [{ resource: 'ReleaseAsset', code: 'already_exists', field: 'name' }] }
      expect(await upload(release)).toMatchObject({ status: 422, body: refusal })
      await octokit.repos.deleteReleaseAsset({ ...repo, asset_id: left?.id ?? 0 })
      expect(await upload(release)).toMatchObject({ status: 201, body: { state: 'uploaded' } })
    },
  )

  it('whose sender goes away leaves a starter too', async () => {
    const release = await begin()
    async function* broken() {
      yield content
      await vi.waitUntil(() => (github.requests.at(-1)?.bytes ?? 0) > 0)
      throw new Error('killed')
    }
    const { upload_url: url } = release
    const size = content.length * 2
    await expect(uploadAsset(url, { name: 'a.qcow2', size, bytes: broken() }, token)).rejects.toThrow(
      'killed',
    )
    expect(await upload(release)).toMatchObject({ status: 422 })
    expect(await stored(release)).toMatchObject([{ name: 'a.qcow2', state: 'starter' }])
  })

  it('that is refused at once leaves nothing', async () => {
    const release = await begin()
    github.faults.add({ on: 'upload', do: answers.tooMany(1) })
    expect(await upload(release)).toMatchObject({ status: 429 })
    expect(await stored(release)).toEqual([])
  })

  it('can be stored by half, or otherwise, and its digest says so', async () => {
    const release = await begin()
    github.faults.add({ on: 'upload', do: 'truncate' }, { on: 'upload', at: 2, do: 'wrong-digest' })
    await upload(release)
    const [half] = await stored(release)
    expect(half).toMatchObject({ size: 150_000, digest: `sha256:${sha256(content.subarray(0, 150_000))}` })
    await octokit.repos.deleteReleaseAsset({ ...repo, asset_id: half?.id ?? 0 })
    await upload(release)
    const [other] = await stored(release)
    expect(other?.size).toBe(content.length)
    expect(other?.digest).not.toBe(`sha256:${sha256(content)}`)
  })

  it('can have its digest late', async () => {
    const release = await begin()
    github.faults.add({ on: 'upload', do: { digestLate: 2 } })
    expect(await upload(release)).toMatchObject({ status: 201, body: { digest: null } })
    const digests = [await stored(release), await stored(release), await stored(release)].map(
      ([asset]) => asset?.digest,
    )
    expect(digests).toEqual([null, null, `sha256:${sha256(content)}`])
  })

  it('can be stored without its answer coming through', async () => {
    const release = await begin()
    github.faults.add({ on: 'upload', do: 'lose-answer' })
    await expect(upload(release)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await stored(release)).toMatchObject([{ state: 'uploaded', size: content.length }])
  })

  it('beyond the thousandth asset is refused', async () => {
    const names = Array.from({ length: 1000 }, (_, index) => [`part-${index}`, 'x'])
    const { id } = await github.seedRelease({ tag: 'a-1-1', draft: true, assets: Object.fromEntries(names) })
    const { data } = await octokit.repos.getRelease({ ...repo, release_id: id })
    expect(await upload(data)).toMatchObject({
      status: 422,
      body: { errors: [{ resource: 'ReleaseAsset' }] },
    })
    const pages = { ...repo, release_id: id, per_page: 100 }
    expect(await octokit.paginate(octokit.repos.listReleaseAssets, pages)).toHaveLength(1000)
  })

  it('of nothing, or of 2 GiB, is refused', async () => {
    const { upload_url: url } = await begin()
    const empty = await uploadAsset(url, { name: 'empty', size: 0, bytes: [] }, token)
    expect(empty).toMatchObject({ status: 400, body: { message: 'Bad Content-Length' } })
    const huge = await uploadAsset(url, { name: 'huge', size: 2 ** 31, bytes: [content] }, token)
    expect(huge).toMatchObject({ status: 422, body: { errors: [{ field: 'size' }] } })
  })
})

describe('a download', () => {
  async function signed(): Promise<URL> {
    const release = await github.seedRelease({ tag: 'a-1-1', assets: { 'a.qcow2': content } })
    const path = `/repos/operator/platform/releases/assets/${release.assets[0]?.id}`
    const headers = { accept: 'application/octet-stream', authorization: `Bearer ${token}` }
    const answer = await fetch(github.apiUrl + path, { headers, redirect: 'manual' })
    expect(answer.status).toBe(302)
    return new URL(answer.headers.get('location') ?? '')
  }
  const open = (url: URL, headers = {}) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get(url, { headers }, resolve).once('error', reject)
    })

  it('is behind another address, which takes no token', async () => {
    const url = await signed()
    expect(url.origin).not.toBe(github.apiUrl)
    expect(await buffer(await open(url))).toEqual(content)
    expect((await open(url, { authorization: `Bearer ${token}` })).statusCode).toBe(400)
    url.searchParams.set('sig', 'guessed')
    expect((await open(url)).statusCode).toBe(403)
    // Octokit lets fetch follow, and fetch does not give the token to another address.
    const { assets } = (await octokit.repos.getReleaseByTag({ ...repo, tag: 'a-1-1' })).data
    const headers = { accept: 'application/octet-stream' }
    const { data } = await octokit.repos.getReleaseAsset({ ...repo, asset_id: assets[0]?.id ?? 0, headers })
    expect(Buffer.from(data as unknown as ArrayBuffer)).toEqual(content)
  })

  it('begins at an offset, unless it has no ranges', async () => {
    const url = await signed()
    const rest = await open(url, { range: 'bytes=299990-' })
    expect(rest).toMatchObject({
      statusCode: 206,
      headers: { 'content-range': 'bytes 299990-299999/300000' },
    })
    expect(await buffer(rest)).toEqual(content.subarray(299_990))
    expect((await open(url, { range: 'bytes=300000-' })).statusCode).toBe(416)
    github.faults.add({ on: 'download', do: 'no-range' })
    const whole = await open(url, { range: 'bytes=299990-' })
    expect(whole.statusCode).toBe(200)
    expect(await buffer(whole)).toEqual(content)
  })

  it('can break off after some bytes, come by half, or come otherwise', async () => {
    const url = await signed()
    github.faults.add({ on: 'download', do: { resetAfter: 100_000 } })
    const broken = await open(url)
    let came = 0
    broken.on('data', (chunk) => {
      came += chunk.length
    })
    await expect(new Promise((_, reject) => broken.once('error', reject))).rejects.toMatchObject({
      code: 'ECONNRESET',
    })
    expect(came).toBe(100_000)
    expect(github.requests.at(-1)).toMatchObject({ on: 'download', status: 200, bytes: 100_000 })
    github.faults.add({ on: 'download', do: 'truncate' }, { on: 'download', at: 2, do: 'wrong-digest' })
    expect(await buffer(await open(url))).toEqual(content.subarray(0, 150_000))
    const other = await buffer(await open(url))
    expect(other.subarray(0, -1)).toEqual(content.subarray(0, -1))
    expect(other.at(-1)).not.toBe(content.at(-1))
  })
})

describe('a call of the API', () => {
  it('can be answered by an error, from the n-th on and several times', async () => {
    github.faults.add({ on: 'api', match: /^GET .*\/releases$/, at: 2, times: 2, do: answers.unavailable })
    const statuses = []
    for (let call = 0; call < 4; call++) {
      const answer = await octokit.repos.listReleases(repo).catch((error) => error)
      statuses.push(answer.status)
    }
    expect(statuses).toEqual([200, 503, 503, 200])
    expect(github.requests.map(({ status }) => status)).toEqual(statuses)
  })

  it('can meet the rate limits', async () => {
    const reset = new Date('2030-01-01T00:00:00Z')
    github.faults.add(
      { on: 'api', do: answers.secondaryRateLimit(7) },
      { on: 'api', at: 2, do: answers.primaryRateLimit(reset) },
      { on: 'api', at: 3, do: answers.serverError },
    )
    const read = () => octokit.repos.get(repo).catch((error) => error)
    const secondary = await read()
    expect(secondary).toMatchObject({ status: 403, response: { headers: { 'retry-after': '7' } } })
    expect(secondary.message).toContain('You have exceeded a secondary rate limit')
    const headers = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1893456000' }
    expect(await read()).toMatchObject({ status: 403, response: { headers } })
    expect(await read()).toMatchObject({ status: 500 })
  })

  it('cannot go wrong as a download does', () => {
    expect(() => github.faults.add({ on: 'api', do: 'truncate' })).toThrow(
      '"truncate" does not happen on api',
    )
  })

  it('can be reset', async () => {
    github.faults.add({ on: 'api', do: 'reset' })
    await expect(octokit.repos.get(repo)).rejects.toThrow()
    expect(github.requests).toMatchObject([{ method: 'GET', path: '/repos/operator/platform', status: 0 }])
    expect((await octokit.repos.get(repo)).status).toBe(200)
  })
})
