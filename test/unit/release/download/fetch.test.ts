import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../../../src/github/client.ts'
import type { Releases } from '../../../../src/github/release.ts'
import { fetchRelease } from '../../../../src/release/download/fetch.ts'
import { MOST_BYTES } from '../../../../src/release/format/asset-text.ts'
import type { Contents } from '../../../../src/release/format/contents.ts'
import { StoppedError } from '../../../../src/report/error.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { testFolder } from '../../../support/builds.ts'
import { makeSmallImage, type SmallImage, sha256 } from '../../../support/deploy/image.ts'
import { digestsOf } from '../../../support/release/folders.ts'
import { seedImage } from '../../../support/release/seed.ts'

/** Downloads of a small image in ten or so parts from the local GitHub. */
const root = await testFolder('fetch')
const partSize = 400_000
const forged = Buffer.from('IMAGE=haproxy\n')
let image: SmallImage
let github: LocalGitHub
/** Earlier requests do not count. */
let since = 0
let releases: Releases
let notes: string[]
let onBytes: (done: number) => void
let count = 0
let folder: string

beforeAll(async () => {
  image = await makeSmallImage(join(root, 'image'))
  await writeFile(join(image.folder, 'test-report.json'), '{"passed":true}\n')
})
afterAll(() => rm(root, { recursive: true, force: true }))

beforeEach(async () => {
  since = 0
  github = await LocalGitHub.start()
  releases = connectTo(new AbortController().signal)
  notes = []
  onBytes = () => {}
  folder = join(root, `cache ${count++}`, 'haproxy-3.0.11-1')
})
afterEach(() => github.stop())

function connectTo(signal: AbortSignal): Releases {
  const { apiUrl, repository } = github
  return connect({ apiUrl, repository, token: github.token({ contents: 'read' }), signal }).releases
}

async function fetch(
  signal = new AbortController().signal,
  inspect?: () => Promise<void>,
): Promise<Contents> {
  const [release] = await releases.list()
  if (!release) throw new Error('there is no release')
  const progress = {
    note: (text: string) => notes.push(text),
    bytes: (_: string, done: number) => onBytes(done),
  }
  const options = { progress, signal, ...(inspect && { inspect }) }
  return fetchRelease({ releases, release }, folder, options, async (contents) => contents)
}

/** The requests for the bytes of a part, by their first byte. */
function ranges(name: RegExp): (string | undefined)[] {
  return downloads(name).map(({ range }) => range)
}

function downloads(name: RegExp) {
  return github.requests
    .slice(since)
    .filter(({ on, path, query }) => on === 'download' && name.test(`${path}?${query}`))
}

/** That the folder is the image's, and nothing else is beside it. */
async function expectComplete(): Promise<void> {
  expect(await digestsOf(folder)).toEqual(await digestsOf(image.folder))
  expect(await readdir(join(folder, '..'))).toEqual(['.haproxy-3.0.11-1.lock', 'haproxy-3.0.11-1'])
}

describe('a download', () => {
  it('has the files of the build and the report, and is not repeated', async () => {
    const contents = await seedImage(github, image, { partSize })
    expect(contents.files.find(({ name }) => name.endsWith('.qcow2'))?.parts.length).toBeGreaterThan(8)
    expect(await fetch()).toEqual(contents)
    await expectComplete()
    since = github.requests.length
    expect(await fetch()).toEqual(contents)
    expect(downloads(/./)).toHaveLength(1)
    await expectComplete()
  })

  it('of a file that is one asset', async () => {
    await seedImage(github, image)
    await fetch()
    await expectComplete()
  })

  it('is repeated when the folder was damaged', async () => {
    await seedImage(github, image, { partSize })
    await fetch()
    await writeFile(join(folder, 'template.conf'), 'IMAGE=other\n')
    await fetch()
    await expectComplete()
  })

  it('does not remove other files', async () => {
    await seedImage(github, image, { partSize })
    await fetch()
    await writeFile(join(folder, 'notes.txt'), 'mine')
    await expect(fetch()).rejects.toThrow(/another file, notes\.txt/)
    expect(await readdir(folder)).toContain('notes.txt')
  })

  it('inspects the small files before the disk is requested', async () => {
    await seedImage(github, image, { partSize })
    const refuse = () => Promise.reject(new Error('not this one'))
    await expect(fetch(undefined, refuse)).rejects.toThrow('not this one')
    expect(downloads(/qcow2/)).toEqual([])
  })

  it('that is stopped continues the next time', async () => {
    await seedImage(github, image, { partSize })
    const stop = new AbortController()
    releases = connectTo(stop.signal)
    onBytes = (done) => {
      if (done > 1_000_000) stop.abort()
    }
    await expect(fetch(stop.signal)).rejects.toBeInstanceOf(StoppedError)
    expect(await digestsOf(folder)).toBeUndefined()
    releases = connectTo(new AbortController().signal)
    since = github.requests.length
    await fetch()
    await expectComplete()
    expect(downloads(/template\.conf/)).toEqual([])
  })

  it('is for one run at a time', async () => {
    await seedImage(github, image, { partSize })
    const outcomes = await Promise.allSettled([fetch(), fetch()])
    const failed = outcomes.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
    expect(failed).toEqual([expect.stringContaining('Another run of Seeder is at work on this release')])
    await expectComplete()
  })
})

describe('a server that', () => {
  beforeEach(() => seedImage(github, image, { partSize }))

  it('breaks connections off gets a request for the rest', async () => {
    github.faults.add({ on: 'download', match: /part-02/, times: 3, do: { resetAfter: 100_000 } })
    await fetch()
    await expectComplete()
    const [first, ...more] = ranges(/part-02/)
    expect(first).toBeUndefined()
    expect(more).toHaveLength(3)
    for (const range of more) expect(range).toMatch(/^bytes=[1-9]\d*-$/)
  })

  it('has no Range sends the part again from its beginning', async () => {
    github.faults.add(
      { on: 'download', match: /part-03/, do: { resetAfter: 300_000 } },
      { on: 'download', match: /part-03/, at: 2, do: 'no-range' },
    )
    await fetch()
    await expectComplete()
    expect(downloads(/part-03/).map(({ bytes }) => bytes)).toEqual([300_000, 400_000])
  })

  it('resets connections gets the request again', async () => {
    github.faults.add({ on: 'download', match: /part-04/, times: 1, do: 'reset' })
    await fetch()
    await expectComplete()
  })

  it('sends wrong bytes once gets a second request for that part', async () => {
    github.faults.add({ on: 'download', match: /part-05/, do: 'wrong-digest' })
    await fetch()
    await expectComplete()
    expect(notes.join('\n')).toMatch(
      /part-05: its sha256 is [0-9a-f]{64}, not [0-9a-f]{64}: it is downloaded again/,
    )
    expect(downloads(/part-05/)).toHaveLength(2)
    expect(downloads(/part-06/)).toHaveLength(1)
  })

  it('keeps sending wrong bytes is an error, and the other parts are kept', async () => {
    github.faults.add({ on: 'download', match: /part-05/, times: 2, do: 'wrong-digest' })
    await expect(fetch()).rejects.toThrow(
      /part-05 was downloaded twice and is wrong: its sha256 is [0-9a-f]{64}, the release says [0-9a-f]{64}/,
    )
    expect(await digestsOf(folder)).toBeUndefined()
    since = github.requests.length
    await fetch()
    await expectComplete()
    expect(downloads(/part-01/)).toEqual([])
    expect(downloads(/part-05/)).toHaveLength(1)
  })

  it('sends no more bytes is an error with the number of bytes that came', async () => {
    github.faults.add({ on: 'download', match: /part-02/, times: 100, do: { resetAfter: 0 } })
    await expect(fetch()).rejects.toThrow(/part-02 could not be downloaded: .*0 of 400000 bytes came/)
  }, 60_000)

  it('sends a shorter file gets the request again', async () => {
    github.faults.add({ on: 'download', match: /part-02/, do: 'truncate' })
    await fetch()
    await expectComplete()
  })
})

describe('a release that contradicts itself', () => {
  const refused: [string, Parameters<typeof seedImage>[2], RegExp][] = [
    [
      'a name with a path',
      { twist: (all) => renamed(all, '../../evil') },
      /release\.json .* does not say what is in the release/,
    ],
    ['a hidden name', { twist: (all) => renamed(all, '.ssh') }, /does not say what is in the release/],
    [
      'another image',
      { twist: (all) => ({ ...all, image: 'etcd' }) },
      /cannot be right: it is of etcd-3\.0\.11-1/,
    ],
    ['a file twice', { twist: (all) => ({ ...all, files: [...all.files, ...all.files] }) }, /twice/],
    [
      'a part that is no asset',
      {
        twist: (all) => ({
          ...all,
          files: all.files.map((f) => ({ ...f, parts: f.parts.map((p) => ({ ...p, name: `${p.name}x` })) })),
        }),
      },
      /x: it is missing/,
    ],
    [
      'an asset of another size',
      { assets: { 'template.conf': Buffer.from('IMAGE=haproxy\n') } },
      /template\.conf: it has 14 bytes, not/,
    ],
    [
      'another file than the one that is signed',
      { assets: { 'template.conf': forged }, twist: (all) => withForged(all) },
      /template\.conf is not what SHA256SUMS says \(sha256 [0-9a-f]{64}, not [0-9a-f]{64}\)/,
    ],
    [
      'an image that was not tested',
      {
        twist: (all) => ({ ...all, files: all.files.filter(({ name }) => name !== 'test-report.json') }),
      },
      /it does not name test-report\.json/,
    ],
    [
      'a digest of the part and another of the file',
      { twist: (all) => resummed(all) },
      /template\.conf is one part and has two digests/,
    ],
    [
      'a file that is not in SHA256SUMS',
      {
        twist: (all) => ({
          ...all,
          files: all.files.map((f) => (f.name === 'template.conf' ? { ...f, name: 'run.sh' } : f)),
        }),
      },
      /it does not name template\.conf/,
    ],
  ]
  it.each(refused)('%s', async (_, seed, message) => {
    await seedImage(github, image, { partSize, ...seed })
    await expect(fetch()).rejects.toThrow(message)
    expect(await digestsOf(folder)).toBeUndefined()
    expect(downloads(/qcow2/)).toEqual([])
  })

  it('a file other than the disk that is large, of which nothing is downloaded', async () => {
    const report = join(image.folder, 'test-report.json')
    const before = await readFile(report)
    await writeFile(report, Buffer.alloc(MOST_BYTES + 1, ' '))
    try {
      await seedImage(github, image)
    } finally {
      await writeFile(report, before)
    }
    await expect(fetch()).rejects.toThrow(
      'test-report.json has 16777217 bytes, and only the disk has more than 16777216',
    )
    expect(downloads(/test-report|qcow2/)).toEqual([])
  })

  it('a file beside the signed ones', async () => {
    await writeFile(join(image.folder, 'extra'), 'nobody signed this')
    try {
      await seedImage(github, image, { partSize })
    } finally {
      await rm(join(image.folder, 'extra'))
    }
    await expect(fetch()).rejects.toThrow('SHA256SUMS does not list extra')
    expect(downloads(/qcow2/)).toEqual([])
  })

  it('parts that are right and a whole that is not', async () => {
    const swapped = (all: Contents) => {
      const disk = all.files.find(({ name }) => name.endsWith('.qcow2'))
      const [a, b] = disk?.parts ?? []
      if (disk && a && b) disk.parts.splice(0, 2, b, a)
      return all
    }
    await seedImage(github, image, { partSize, twist: swapped })
    await expect(fetch()).rejects.toThrow(/qcow2 is complete and wrong: its sha256 is/)
    expect(await digestsOf(folder)).toBeUndefined()
  })
})

function renamed(contents: Contents, name: string): Contents {
  const [first, ...more] = contents.files
  return { ...contents, files: [...(first ? [{ ...first, name }] : []), ...more] }
}

/** Somebody has changed a file and release.json with it, and cannot sign. */
function withForged(contents: Contents): Contents {
  const entry = { name: 'template.conf', size: forged.length, sha256: sha256(forged) }
  const others = contents.files.filter(({ name }) => name !== 'template.conf')
  return { ...contents, files: [...others, { ...entry, parts: [entry] }] }
}

function resummed(contents: Contents): Contents {
  const digest = '0'.repeat(64)
  const files = contents.files.map((file) =>
    file.name === 'template.conf' ? { ...file, sha256: digest } : file,
  )
  return { ...contents, files }
}
