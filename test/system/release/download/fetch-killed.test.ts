import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { testFolder } from '../../../support/builds.ts'
import { makeSmallImage, type SmallImage } from '../../../support/deploy/image.ts'
import { digestsOf } from '../../../support/release/folders.ts'
import { seedImage } from '../../../support/release/seed.ts'
import { checkout } from '../../../support/seeder.ts'

const root = await testFolder('fetch killed')
const partSize = 400_000
const tag = 'haproxy-3.0.11-1'
let image: SmallImage
let big: SmallImage
let github: LocalGitHub
/** Earlier requests do not count. */
let since = 0
let count = 0
let cache: string

beforeAll(async () => {
  image = await makeSmallImage(join(root, 'image'))
  await writeFile(join(image.folder, 'test-report.json'), '{}\n')
  big = await makeSmallImage(join(root, 'big'), { sizeMiB: 80 })
  await writeFile(join(big.folder, 'test-report.json'), '{}\n')
})
afterAll(() => rm(root, { recursive: true, force: true }))

beforeEach(async () => {
  since = 0
  github = await LocalGitHub.start()
})
afterEach(() => github.stop())

const newCache = () => {
  cache = join(root, `cache ${count++}`)
}

/**
 * Runs a download, which ends itself before its n-th change of the file system, or its n-th note of how far a part has
 * come; undefined when it was killed.
 */
async function run(dieBefore = 0, dieBeforeMark = 0): Promise<number | undefined> {
  const script = join(checkout, 'test/support/release/dying-fetch.ts')
  const argv = [script, github.apiUrl, github.token({ contents: 'read' }), join(cache, tag)]
  const { exitCode, signal, stdout, stderr } = await execa(process.execPath, argv, {
    env: { DIE_BEFORE: String(dieBefore), DIE_BEFORE_MARK: String(dieBeforeMark) },
    reject: false,
  })
  if (signal === 'SIGKILL') return undefined
  if (exitCode !== 0) throw new Error(stderr)
  return Number(stdout)
}

const downloads = (name: RegExp) =>
  github.requests.slice(since).filter(({ on, path }) => on === 'download' && name.test(path))

/** The parts that the journal has as done. */
async function doneParts(): Promise<string[]> {
  const text = await readFile(join(cache, `.${tag}.journal`), 'utf8').catch(() => '')
  return [...text.matchAll(/^done (\S+)\n/gm)].map(([, name = '']) => name)
}

it('killed at any moment, the next run completes it and downloads nothing twice', async () => {
  await seedImage(github, image, { partSize })
  newCache()
  const changes = (await run()) ?? 0
  expect(changes).toBeGreaterThan(60)
  const expected = await digestsOf(image.folder)
  let kept = 0
  for (let point = 2; point <= changes; point += Math.ceil(changes / 16)) {
    newCache()
    expect(await run(point)).toBeUndefined()
    // Either it is not to be seen, or it is whole.
    expect([undefined, expected]).toContainEqual(await digestsOf(join(cache, tag)))
    const done = await doneParts()
    since = github.requests.length
    await run()
    expect(await digestsOf(join(cache, tag)), `killed before change ${point}`).toEqual(expected)
    expect(await readdir(cache)).toEqual([`.${tag}.lock`, tag])
    expect(downloads(/./).filter(({ path }) => done.includes(path.split('/').at(-1) ?? ''))).toEqual([])
    kept += done.length
  }
  expect(kept).toBeGreaterThan(10)
}, 180_000)

it('killed while it replaces a lost file, it does not trust the journal’s marks of that file', async () => {
  await seedImage(github, image, { partSize })
  // Up to 35 or so it is at the small files, then at the disk.
  for (const point of [8, 16, 24, 48, 60]) {
    newCache()
    github.faults.add({ on: 'download', match: /part-09/, times: 2, do: 'wrong-digest' })
    await expect(run()).rejects.toThrow('part-09 was downloaded twice and is wrong')
    expect(await doneParts()).toEqual(
      expect.arrayContaining(['SHA256SUMS', expect.stringMatching(/part-01$/)]),
    )
    // As an end in the middle of the removal of a download leaves it.
    await rm(join(cache, `.${tag}.partial`), { recursive: true })
    expect(await run(point)).toBeUndefined()
    await run()
    expect(await digestsOf(join(cache, tag)), `killed before change ${point}`).toEqual(
      await digestsOf(image.folder),
    )
  }
}, 120_000)

it('killed repeatedly, it still completes', async () => {
  await seedImage(github, image, { partSize })
  newCache()
  let kills = 0
  while ((await run(40)) === undefined) {
    kills++
    expect(kills).toBeLessThan(30)
  }
  expect(kills).toBeGreaterThan(1)
  expect(await digestsOf(join(cache, tag))).toEqual(await digestsOf(image.folder))
}, 120_000)

it('continues inside a part, or starts the part again when the server has no Range', async () => {
  await seedImage(github, big)
  const disk = /qcow2$/
  for (const noRange of [false, true]) {
    newCache()
    expect(await run(0, 2)).toBeUndefined()
    since = github.requests.length
    if (noRange) github.faults.add({ on: 'download', match: disk, do: 'no-range' })
    await run()
    // There is a note of it every 16 MiB, and the second one was not written any more.
    expect(downloads(disk).map(({ range }) => range)).toEqual([expect.stringMatching(/^bytes=16[78]\d{5}-$/)])
    expect(await digestsOf(join(cache, tag))).toEqual(await digestsOf(big.folder))
  }
}, 120_000)
