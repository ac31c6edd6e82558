import { createHash, randomBytes } from 'node:crypto'
import { createServer, type RequestListener, type Server } from 'node:http'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Asset, Release, Releases } from '../../../src/github/release.ts'
import { downloadAsset, uploadAsset } from '../../../src/github/transfer.ts'
import { answers } from '../../stand-ins/github/faults.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { releasesOf } from '../../support/release/connected.ts'

const content = randomBytes(3_000_000)

let github: LocalGitHub
let releases: Releases
let notes: string[]

beforeEach(async () => {
  notes = []
  github = await LocalGitHub.start()
  releases = releasesOf(github, { notes })
})

afterEach(() => github.stop())

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function draft(): Promise<Release> {
  return releases.createDraft({
    tag: 'haproxy-3.0.11-1',
    target: github.git.head(),
    title: 'haproxy',
    body: '',
  })
}

async function seeded(): Promise<Asset> {
  await github.seedRelease({ tag: 'haproxy-3.0.11-1', assets: { disk: content } })
  const [asset] = (await releases.list())[0]?.assets ?? []
  if (!asset) throw new Error('there is no asset')
  return asset
}

function disk() {
  return { name: 'disk', size: content.length, open: () => Readable.from(chunks(content)) }
}

function* chunks(bytes: Buffer): Iterable<Buffer> {
  for (let start = 0; start < bytes.length; start += 65_536) yield bytes.subarray(start, start + 65_536)
}

describe('an upload', () => {
  it('reports its progress and the asset', async () => {
    const sent: number[] = []
    const asset = await releases.upload(await draft(), disk(), (bytes) => sent.push(bytes))
    expect(asset).toMatchObject({ name: 'disk', size: content.length, state: 'uploaded' })
    expect(asset.sha256).toBe(sha256(content))
    expect(sent.at(-1)).toBe(content.length)
  })

  it.each([
    ['is reset half-way', { resetAfter: 1_000_000 }],
    ['is reset before it begins', 'reset'],
    ['is answered with an error', answers.unavailable],
    ['is to wait', answers.tooMany(1)],
  ] as const)('that %s is sent again', async (_, misbehaviour) => {
    const release = await draft()
    github.faults.add({ on: 'upload', do: misbehaviour })
    const asset = await releases.upload(release, disk())
    expect(asset.sha256).toBe(sha256(content))
    expect(github.releases()[0]?.assets).toHaveLength(1)
    expect(notes.join('\n')).toMatch(/could not upload disk: .*; trying again in 1.0 s/)
  })

  it('is not sent again when only its answer was lost', async () => {
    const release = await draft()
    github.faults.add({ on: 'upload', do: 'lose-answer' })
    await expect(releases.upload(release, disk())).resolves.toMatchObject({ sha256: sha256(content) })
    expect(github.requests.filter(({ on }) => on === 'upload')).toHaveLength(1)
  })

  it('that is refused has the reason', async () => {
    const release = await draft()
    github.faults.add({ on: 'upload', do: { status: 413, body: { message: 'Too big for today' } } })
    await expect(releases.upload(release, disk())).rejects.toThrow(
      'could not upload disk: GitHub answered 413 (Too big for today)',
    )
  })

  it('of a file that became shorter fails, instead of waiting', async () => {
    const stop = new AbortController()
    const note = (text: string) => {
      notes.push(text)
      stop.abort()
    }
    const reached = { url: `${github.apiUrl}/none`, token: 'x', signal: stop.signal, note }
    const leftovers = { find: async () => undefined, remove: async () => undefined }
    const shorter = { name: 'disk', size: 10, open: () => Readable.from([Buffer.from('short')]) }
    await expect(uploadAsset(reached, shorter, leftovers)).rejects.toThrow()
    expect(notes.join()).toContain('the file has 5 bytes and no longer 10')
  })
})

describe('a download', () => {
  it('gives the bytes, through a redirect to a host that gets no token', async () => {
    const { from, bytes } = await releases.download(await seeded())
    expect(from).toBe(0)
    expect((await buffer(bytes)).equals(content)).toBe(true)
  })

  it('continues at an offset, or reports that it cannot', async () => {
    const asset = await seeded()
    const rest = await releases.download(asset, 1_000_000)
    expect(rest.from).toBe(1_000_000)
    expect((await buffer(rest.bytes)).equals(content.subarray(1_000_000))).toBe(true)

    github.faults.add({ on: 'download', do: 'no-range' })
    const whole = await releases.download(asset, 1_000_000)
    expect(whole.from).toBe(0)
    expect((await buffer(whole.bytes)).equals(content)).toBe(true)
  })

  it('of what is complete sends no request', async () => {
    const asset = await seeded()
    const before = github.requests.length
    const { bytes } = await releases.download(asset, asset.size)
    expect(await buffer(bytes)).toHaveLength(0)
    expect(github.requests).toHaveLength(before)
  })

  it('fails when it breaks off, so that its reader can continue', async () => {
    const asset = await seeded()
    github.faults.add({ on: 'download', do: { resetAfter: 1_000_000 } })
    const { bytes } = await releases.download(asset)
    await expect(buffer(bytes)).rejects.toThrow()
  })

  it.each([
    ['is refused by the storage', { status: 403, body: 'expired' }],
    ['is answered with an error', answers.badGateway],
    ['is half of the file', 'truncate'],
    ['is reset before it begins', 'reset'],
  ] as const)('that %s is repeated', async (_, misbehaviour) => {
    const asset = await seeded()
    github.faults.add({ on: 'download', do: misbehaviour })
    const { bytes } = await releases.download(asset)
    expect((await buffer(bytes)).equals(content)).toBe(true)
    expect(notes).toHaveLength(1)
  })
})

describe('redirects', () => {
  let server: Server | undefined

  afterEach(() => server?.close())

  async function serve(listener: RequestListener): Promise<string> {
    server = createServer(listener).listen(0, '127.0.0.1')
    await new Promise((resolve) => server?.once('listening', resolve))
    const address = server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  }

  it('keep the token on the same host, and lose it for good on the way to another', async () => {
    const seen: (string | undefined)[] = []
    const url = await serve((request, response) => {
      seen.push(`${request.headers.host?.split(':')[0]} ${request.headers.authorization}`)
      const port = request.headers.host?.split(':')[1]
      const next = { '/1': '/2', '/2': `http://localhost:${port}/3`, '/3': `http://127.0.0.1:${port}/4` }
      const location = next[request.url as keyof typeof next]
      if (location) response.writeHead(302, { location }).end()
      else response.end('bytes')
    })
    const signal = new AbortController().signal
    const asset: Asset = { id: 1, name: 'disk', size: 5, state: 'uploaded', sha256: undefined }
    const reached = { url: `${url}/1`, token: 'secret', signal, note: () => undefined }
    const { bytes } = await downloadAsset(reached, asset, 0)
    expect((await buffer(bytes)).toString()).toBe('bytes')
    expect(seen).toEqual([
      '127.0.0.1 token secret',
      '127.0.0.1 token secret',
      'localhost undefined',
      '127.0.0.1 undefined',
    ])
  })
})
