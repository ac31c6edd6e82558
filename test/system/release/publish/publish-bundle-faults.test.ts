import { existsSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sha256File } from '../../../../src/store/digest.ts'
import type { Logged } from '../../../stand-ins/github/front.ts'
import { makeSigner, sha256 } from '../../../support/deploy/image.ts'
import {
  after,
  BundledReleases,
  before,
  first,
  second,
  unchecked,
} from '../../../support/release/bundled-releases.ts'
import { checkout } from '../../../support/seeder.ts'

/** Bundles in releases when somebody changes them, a connection misbehaves, or a run is killed. */
let at: BundledReleases
beforeAll(async () => {
  at = await BundledReleases.make()
})
afterAll(() => at.remove())
beforeEach(() => at.begin())
afterEach(() => at.end())

describe('a change by somebody else', () => {
  /** A release of before and one of after, on a GitHub where files of releases can be changed. */
  async function changeable(): Promise<void> {
    at.github.immutable = false
    await at.release(first, before)
    await at.release(second, after)
  }

  /** Changes a byte of a file that a release has, behind GitHub's back or, with a new digest, through it. */
  async function flip(tag: string, name: string, offset: number, digest: boolean): Promise<void> {
    const asset = at.stored(tag).assets.find((one) => one.name === name)
    if (!asset) return expect.fail(`${tag} has no ${name}`)
    const content = await readFile(asset.file)
    content.writeUInt8((content.readUInt8(offset) + 1) % 256, offset)
    await writeFile(asset.file, content)
    if (digest) asset.sha256 = sha256(content)
  }

  it('in the list is detected by its digest in the signed SHA256SUMS', async () => {
    await changeable()
    await flip(second, `${second}.bundle.json`, 20, true)
    const found = await at.findings(second)
    expect(found[`${second}.bundle.json`]).toMatch(/^wrong: its sha256 is/)
    expect(found['release.json']).toContain(`${second}.bundle.json`)
    await expect(at.downloaded(second)).rejects.toThrow(
      `is not as it was published: ${second}.bundle.json: its sha256 is`,
    )
  })

  it('in SHA256SUMS is detected by the signature', async () => {
    await changeable()
    await flip(second, 'SHA256SUMS', 0, true)
    await expect(at.downloaded(second)).rejects.toThrow('the signature of SHA256SUMS')
  })

  it('in a bundle is detected by GitHub’s digest', async () => {
    await changeable()
    await flip(second, `${second}.bundle.tar`, 512 * 4, true)
    const found = await at.findings(second)
    expect(found.bundle).toBe('wrong: GitHub has another digest of it')
    expect(found['release.json']).toContain(`${second}.bundle.tar: its sha256 is`)
    await expect(at.downloaded(second)).rejects.toThrow(`${second}.bundle.tar: its sha256 is`)
  })

  it('in a bundle without GitHub’s digest is detected by the download, and nothing is written', async () => {
    await changeable()
    // The digest on GitHub stays: what is stored is another thing than what it says.
    await flip(second, `${second}.bundle.tar`, 512 * 4, false)
    const wrong = new RegExp(`${second}\\.bundle\\.tar was downloaded twice and is wrong`)
    expect((await at.findings(second, true))['content of the bundle']).toMatch(wrong)
    await expect(at.downloaded(second, { out: at.never() })).rejects.toThrow(wrong)
    expect(existsSync(at.never())).toBe(false)
  })

  it('to the bundle of another build, with its entry in release.json, is detected by the signed list', async () => {
    await changeable()
    const [older, newer] = [first, second].map((tag) =>
      at.stored(tag).assets.find(({ name }) => name === `${tag}.bundle.tar`),
    )
    const contents = at.stored(second).assets.find(({ name }) => name === 'release.json')
    if (!older || !newer || !contents) return expect.fail('there are no bundles')
    const text = (await readFile(contents.file, 'utf8'))
      .replaceAll(newer.sha256 ?? '', older.sha256 ?? '')
      .replaceAll(`"size": ${newer.size}`, `"size": ${older.size}`)
    await writeFile(contents.file, text)
    Object.assign(contents, { size: text.length, sha256: sha256(Buffer.from(text)) })
    Object.assign(newer, { file: older.file, size: older.size, sha256: older.sha256 })
    const wrong = `the bundle of ${second} is not the one that its signed list describes`
    expect((await at.findings(second, true))['content of the bundle']).toBe(`wrong: ${wrong}`)
    await expect(at.downloaded(second, { out: at.never() })).rejects.toThrow(wrong)
    expect(existsSync(at.never())).toBe(false)
  })

  it('to a size that the files of the signed list cannot have is refused before the download', async () => {
    await changeable()
    const bundle = at.stored(second).assets.find(({ name }) => name === `${second}.bundle.tar`)
    const contents = at.stored(second).assets.find(({ name }) => name === 'release.json')
    if (!bundle || !contents) return expect.fail('there is no bundle')
    const size = 10 * bundle.size
    const text = (await readFile(contents.file, 'utf8')).replaceAll(
      `"size": ${bundle.size}`,
      `"size": ${size}`,
    )
    await writeFile(contents.file, text)
    Object.assign(contents, { size: text.length, sha256: sha256(Buffer.from(text)) })
    Object.assign(bundle, { size })
    await expect(at.downloaded(second, { out: at.never() })).rejects.toThrow(
      `${second}.bundle.tar of ${second} has ${size} bytes; with the files of its list it has at most`,
    )
    expect(at.github.requests.filter(({ path }) => path.endsWith(`/assets/${bundle.id}`))).toEqual([])
    expect(existsSync(at.never())).toBe(false)
  })

  it('or was signed by nobody who may is not downloaded', async () => {
    await at.release(first, before)
    const unknown = await makeSigner(join(at.root, 'keys'), 'unknown')
    await writeFile(join(at.root, 'others'), unknown.allowed)
    const allowedSigners = join(at.root, 'others')
    await expect(at.downloaded(first, { allowedSigners })).rejects.toThrow('is signed by nobody in')
    await at.downloaded(first, { allowUnsigned: true })
  })
})

describe('a connection that misbehaves', () => {
  it.each([
    ['breaks off', { do: { resetAfter: 1_500_000 } }],
    ['gives half of it', { do: 'truncate' }],
    ['lies once', { do: 'wrong-digest' }],
    ['knows no Range', { do: 'no-range', times: 9 }],
    ['is reset', { do: 'reset' }],
  ] as const)('and %s gives the same bundle', async (_, fault) => {
    const own = await at.bundle(await at.release(second, after))
    at.github.faults.add({ on: 'download', match: /\.bundle\.tar/, ...fault })
    expect(await at.downloaded(second)).toBe(own)
  })
})

describe('killed with SIGKILL', () => {
  /** Runs a command and kills it at this number of requests. Returns whether it was killed. */
  async function killedAt(request: number, ...argv: string[]): Promise<boolean> {
    const child = execa(process.execPath, [join(checkout, 'src/cli.ts'), '--project', at.project, ...argv], {
      cwd: checkout,
      env: at.env(),
      stdin: 'ignore',
      reject: false,
    })
    const requests = at.github.requests as Logged[]
    let seen = 0
    const { push } = requests
    requests.push = (...some) => {
      seen += some.length
      if (seen === request) child.kill('SIGKILL')
      return push.apply(requests, some)
    }
    const { signal } = await child
    requests.push = push
    return signal === 'SIGKILL'
  }

  it.each([5, 8, 11, 14, 17])('publishing at request %i is finished by the next run', async (request) => {
    const folder = await at.build(second, after)
    expect(await killedAt(request, 'publish', folder, '--key', at.signer.key)).toBe(true)
    for (const { draft, assets } of at.github.releases()) {
      if (!draft) expect(assets.every(({ state }) => state === 'uploaded')).toBe(true)
    }
    await at.publish(folder)
    const bundles = at.github.requests.filter(
      ({ on, query, status }) => on === 'upload' && status === 201 && query.includes(`${second}.bundle.tar`),
    )
    expect(bundles).toHaveLength(1)
    expect(at.github.releases()).toHaveLength(1)
    expect(await at.findings(second)).toEqual(unchecked)
  })

  it.each([6, 9, 11])('downloading a bundle at request %i is finished by the next run', async (request) => {
    const own = await at.bundle(await at.release(second, after))
    at.elsewhere()
    const file = at.fresh('killed.tar')
    expect(await killedAt(request, 'bundle', second, '--out', file)).toBe(true)
    await expect(stat(file)).rejects.toThrow()
    await at.bundle(second, { out: file })
    expect(await sha256File(file)).toBe(own)
    const { stdout } = await execa('ls', ['-A', join(at.cache, 'seeder/work')])
    expect(stdout).toBe('')
  })
})
