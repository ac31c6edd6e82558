import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, describe, expect, it } from 'vitest'
import type { BundleFile } from '../../../src/bundle/index.ts'
import { choosePack } from '../../../src/release/pack/choose.ts'
import { packSize, runsOf, spansOf } from '../../../src/release/pack/layout.ts'
import { withPack } from '../../../src/release/pack/make.ts'
import { testFolder } from '../../support/builds.ts'
import { sha256 } from '../../support/deploy/image.ts'
import { keepInputs, listOf, someBytes } from '../../support/release/inputs.ts'

const root = await testFolder('pack')
afterAll(() => rm(root, { recursive: true }))

const kib = 1024
let count = 0

/** Makes a pack of files with these contents, and looks at it. */
async function made<T>(
  contents: readonly Buffer[],
  look: (pack: { path: string; members: readonly BundleFile[] }) => Promise<T>,
  partSize?: number,
): Promise<T> {
  const cache = join(root, `cache ${count++}`)
  const inputs = Object.fromEntries(contents.map((content, index) => [`package${index}`, content]))
  await keepInputs(cache, inputs)
  const { members } = choosePack(listOf(inputs), new Map())
  return withPack('a.pack.tar', members, { cache, partSize }, async ({ file, assets }) => {
    const path = join(root, `pack ${count++}`)
    const pieces: Buffer[] = []
    for (const asset of assets) for await (const chunk of asset.open()) pieces.push(chunk)
    await writeFile(path, Buffer.concat(pieces))
    expect(file.members).toEqual(members.map(({ sha256: digest, size }) => ({ sha256: digest, size })))
    expect(sha256(Buffer.concat(pieces))).toBe(file.sha256)
    return look({ path, members })
  })
}

describe('a pack', () => {
  it.each([
    ['of nothing', [0]],
    ['of one byte less than a block, a block, and one more', [511, 512, 513]],
    ['that fills its last record', [20 * 512 - 512 - 1024]],
    ['that is one byte too long for that', [20 * 512 - 512 - 1024 + 1]],
    ['of many', Array.from({ length: 60 }, (_, index) => index * 37)],
  ])('%s has its files where they are looked for', async (_, sizes) => {
    await made(
      sizes.map((size) => someBytes(size)),
      async ({ path, members }) => {
        expect((await stat(path)).size).toBe(packSize(members))
        const bytes = await readFile(path)
        for (const { start, size, sha256: digest } of spansOf(members)) {
          expect(sha256(bytes.subarray(start, start + size))).toBe(digest)
        }
      },
    )
  })

  it('is a tar of files that are named by their digests', async () => {
    await made([someBytes(700), someBytes(3)], async ({ path, members }) => {
      const folder = join(root, `unpacked ${count++}`)
      await mkdir(folder)
      await execa('tar', ['-xf', path, '-C', folder])
      for (const member of members) {
        expect(sha256(await readFile(join(folder, member.sha256)))).toBe(member.sha256)
      }
    })
  })

  it('has the same bytes whenever it is made, in parts or not', async () => {
    const contents = [someBytes(30 * kib), someBytes(9 * kib)]
    const digest = ({ path }: { path: string }) => readFile(path).then(sha256)
    const first = await made(contents, digest)
    expect(await made(contents.toReversed(), digest)).toBe(first)
    expect(await made(contents, digest, 10 * kib)).toBe(first)
  })

  it('is not made of a file that is missing, or damaged, and leaves nothing', async () => {
    const [one, other] = [someBytes(100), someBytes(200)]
    const cache = join(root, 'spoilt')
    const files = listOf({ one, other })
    const run = () => withPack('a.pack.tar', files, { cache }, async () => expect.fail('it was made'))
    await keepInputs(cache, { one })
    await expect(run()).rejects.toThrow('other 1.0 is not in the package store, and no release has it yet')
    await keepInputs(cache, { other })
    const place = join(cache, 'store', sha256(other).slice(0, 2), sha256(other))
    await writeFile(place, someBytes(200))
    await expect(run()).rejects.toThrow('other 1.0 is damaged in the package store')
    const { stdout } = await execa('ls', ['-A', join(cache, 'work')])
    expect(stdout).toBe('')
  })
})

describe('the choice of what goes into a pack', () => {
  const files = listOf({ a: Buffer.from('a'), b: Buffer.from('b'), c: Buffer.from('c') })
  const digest = (text: string) => sha256(text)

  it('is all when no release has any', () => {
    const { members, others } = choosePack(files, new Map())
    expect(members.map((one) => one.sha256)).toEqual(['a', 'b', 'c'].map(digest).sort())
    expect(others).toEqual([])
  })

  it('leaves away what others have, and names them', () => {
    const held = new Map([
      [digest('a'), 'etcd-3.7.2-1'],
      [digest('b'), 'haproxy-3.0.11-1'],
      ['f'.repeat(64), 'not-asked-for-1-1'],
    ])
    const { members, others } = choosePack(files, held)
    expect(members.map(({ name }) => name)).toEqual(['c 1.0'])
    expect(others).toEqual(['etcd-3.7.2-1', 'haproxy-3.0.11-1'])
  })

  it('takes what is at two places once', () => {
    const twice = [...files, ...files.map((one) => ({ ...one, path: `project/${one.sha256}` }))]
    expect(choosePack(twice, new Map()).members).toHaveLength(3)
  })
})

describe('the requests for files of a pack', () => {
  const sizes = [100, 300 * kib, 5, 10 * kib, 2]
  const members = sizes.map((size, index) => ({ size, sha256: String(index).repeat(64) }))
  const runs = (...wanted: number[]) =>
    runsOf({ members }, new Set(wanted.map((index) => String(index).repeat(64)))).map((run) =>
      run.map(({ sha256: name }) => Number(name[0])),
    )

  it('are one for files that are close to each other, and not over long gaps', () => {
    expect(runs(0, 1, 2, 3, 4)).toEqual([[0, 1, 2, 3, 4]])
    expect(runs(0, 2, 4)).toEqual([[0], [2, 4]])
    expect(runs()).toEqual([])
  })
})
