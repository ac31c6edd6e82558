import { existsSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sha256File } from '../../src/build/store.ts'
import { makeSigner, sha256 } from '../support/deploy/image.ts'
import type { Logged } from '../support/github/front.ts'
import {
  after,
  BundledReleases,
  before,
  first,
  packages,
  second,
  unchecked,
} from '../support/release/bundled-releases.ts'
import { checkout } from '../support/seeder.ts'

/** Bundles in releases when somebody changes them, a connection misbehaves, or a run is killed. */
let at: BundledReleases
beforeAll(async () => {
  at = await BundledReleases.make()
})
afterAll(() => at.remove())
beforeEach(() => at.begin())
afterEach(() => at.end())

describe('what somebody changed', () => {
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

  it('in the list is seen by its digest in SHA256SUMS, which is signed', async () => {
    await changeable()
    await flip(second, `${second}.bundle.json`, 20, true)
    const found = await at.findings(second)
    expect(found[`${second}.bundle.json`]).toMatch(/^wrong: its sha256 is/)
    expect(found['release.json']).toContain(`${second}.bundle.json`)
    await expect(at.assembled(second)).rejects.toThrow(
      `is not as it was published: ${second}.bundle.json has the sha256`,
    )
  })

  it('in SHA256SUMS is seen by the signature', async () => {
    await changeable()
    await flip(second, 'SHA256SUMS', 0, true)
    await expect(at.assembled(second)).rejects.toThrow('the signature of SHA256SUMS')
  })

  it('in a pack is seen by GitHub’s digest or, where that is of the change, by the file’s own', async () => {
    await changeable()
    const pack = `${first}.pack.tar`
    await flip(first, pack, 512 * 4, true)
    const found = await at.findings(second)
    expect(found['files of the bundle']).toMatch(
      new RegExp(`^wrong: .*${first}: the asset ${pack} has the sha256`),
    )
  })

  it('in a pack and what is said of it is named by the file, and nothing is written', async () => {
    await changeable()
    const asset = at.stored(first).assets.find(({ name }) => name === `${first}.pack.tar`)
    const span = (await at.bundleOf(first))?.pack?.members
    // In a file that both need, wherever in the pack it is.
    const offset = (await readFile(asset?.file ?? '')).indexOf(packages.libc6 ?? '')
    expect(offset).toBeGreaterThan(0)
    // The digest on GitHub stays: what is stored is another thing than what is told.
    await flip(first, `${first}.pack.tar`, offset + 12 * 1024, false)
    expect(span).toHaveLength(8)
    const checked = await at.findings(second, true)
    expect(checked['content of these files']).toMatch(
      new RegExp(
        `^wrong: the file [0-9a-f]{64} in ${first}.pack.tar of ${first} came with the sha256 .*, 2 times$`,
      ),
    )
    await expect(at.assembled(second, { out: at.never() })).rejects.toThrow(
      new RegExp(`the file [0-9a-f]{64} in ${first}.pack.tar of ${first} came with`),
    )
    expect(existsSync(at.never())).toBe(false)
  })

  it('or was signed by nobody who may is not put together', async () => {
    await at.release(first, before)
    const stranger = await makeSigner(join(at.root, 'keys'), 'stranger')
    await writeFile(join(at.root, 'others'), stranger.allowed)
    const allowedSigners = join(at.root, 'others')
    await expect(at.assembled(first, { allowedSigners })).rejects.toThrow('is signed by nobody in')
    await at.assembled(first, { allowUnsigned: true })
  })
})

describe('a connection that misbehaves', () => {
  it.each([
    ['breaks off', { do: { resetAfter: 500_000 } }],
    ['gives half of it', { do: 'truncate' }],
    ['lies once', { do: 'wrong-digest' }],
    ['knows no Range', { do: 'no-range', times: 9 }],
    ['is reset', { do: 'reset' }],
  ] as const)('and %s gives the same bundle', async (_, fault) => {
    await at.release(first, before)
    const own = await at.bundle(await at.release(second, after))
    at.github.faults.add({ on: 'download', match: /\.pack\.tar/, ...fault })
    expect(await at.assembled(second)).toBe(own)
  })
})

describe('killed with SIGKILL', () => {
  /** Runs, and kills it when the local GitHub has been asked so often; whether it was. */
  async function killedAt(asked: number, ...argv: string[]): Promise<boolean> {
    const child = execa(process.execPath, [join(checkout, 'src/cli.ts'), '--project', at.project, ...argv], {
      ...{ cwd: checkout, env: at.env(), stdin: 'ignore', reject: false },
    })
    const requests = at.github.requests as Logged[]
    let seen = 0
    const { push } = requests
    requests.push = (...some) => {
      seen += some.length
      if (seen === asked) child.kill('SIGKILL')
      return push.apply(requests, some)
    }
    const { signal } = await child
    requests.push = push
    return signal === 'SIGKILL'
  }

  it.each([5, 8, 11, 14, 17])('publishing at request %i is finished by the next run', async (asked) => {
    await at.release(first, before)
    const folder = await at.build(second, after)
    expect(await killedAt(asked, 'publish', folder, '--key', at.signer.key)).toBe(true)
    for (const { draft, assets } of at.github.releases()) {
      if (!draft) expect(assets.every(({ state }) => state === 'uploaded')).toBe(true)
    }
    await at.publish(folder)
    const packs = at.github.requests.filter(
      ({ on, query, status }) => on === 'upload' && status === 201 && query.includes(`${second}.pack.tar`),
    )
    expect(packs).toHaveLength(1)
    expect(at.github.releases()).toHaveLength(2)
    expect(await at.bundleOf(second)).toMatchObject({ others: [first], pack: { members: { length: 2 } } })
    expect(await at.findings(second)).toEqual(unchecked)
  })

  it.each([6, 9, 11])(
    'putting a bundle together at request %i is finished by the next run',
    async (asked) => {
      await at.release(first, before)
      const own = await at.bundle(await at.release(second, after))
      at.elsewhere()
      const file = at.fresh('killed.tar')
      expect(await killedAt(asked, 'bundle', second, '--out', file)).toBe(true)
      await expect(stat(file)).rejects.toThrow()
      await at.bundle(second, { out: file })
      expect(await sha256File(file)).toBe(own)
      const { stdout } = await execa('ls', ['-A', join(at.cache, 'seeder/work')])
      expect(stdout).toBe('')
    },
  )
})
