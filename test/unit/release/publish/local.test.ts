import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { contentsSchema, PART_SIZE } from '../../../../src/release/format/contents.ts'
import { piecesOf, readLocalRelease } from '../../../../src/release/publish/local.ts'
import type { SmallImage } from '../../../support/deploy/image.ts'
import { makeTestedBuild } from '../../../support/release/tested-build.ts'

describe('the parts of a file', () => {
  it('are the file itself as long as it fits', () => {
    expect(piecesOf('a.qcow2', PART_SIZE)).toEqual([{ name: 'a.qcow2', start: 0, size: PART_SIZE }])
  })

  it('cover it without a gap, in order', () => {
    expect(piecesOf('a.qcow2', 25, 10)).toEqual([
      { name: 'a.qcow2.part-01', start: 0, size: 10 },
      { name: 'a.qcow2.part-02', start: 10, size: 10 },
      { name: 'a.qcow2.part-03', start: 20, size: 5 },
    ])
    expect(piecesOf('a.qcow2', 20, 10).map(({ size }) => size)).toEqual([10, 10])
    expect(piecesOf('a.qcow2', PART_SIZE + 1).map(({ size }) => size)).toEqual([PART_SIZE, 1])
  })

  it('are below what GitHub takes', () => {
    expect(PART_SIZE).toBeLessThan(2 ** 31)
  })
})

describe('a build as a release', () => {
  let build: SmallImage

  beforeEach(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'seeder-local-'))
    build = await makeTestedBuild(folder, 'c0ffee'.padEnd(40, '0'))
    await writeFile(join(folder, 'SHA256SUMS.sig'), 'a signature')
  })

  afterEach(() => rm(build.folder, { recursive: true }))

  it('has digests of the files and of their parts, as they are read again', async () => {
    const local = await readLocalRelease(build.folder, build.manifest, { signed: true, partSize: 500_000 })
    const disk = local.contents.files[0]
    const whole = await readFile(join(build.folder, build.manifest.qcow2.file))
    expect(disk).toMatchObject({ sha256: build.manifest.qcow2.sha256, size: whole.length })
    expect(disk?.parts.length).toBeGreaterThan(3)
    for (const asset of local.assets) {
      const bytes = await buffer(asset.open())
      expect(bytes).toHaveLength(asset.size)
      expect(createHash('sha256').update(bytes).digest('hex'), asset.name).toBe(asset.sha256)
    }
    const description = local.assets.find(({ name }) => name === 'release.json')
    const text = description && (await buffer(description.open())).toString()
    expect(contentsSchema.parse(JSON.parse(text ?? ''))).toEqual(local.contents)
  })

  it('has the signature only where it is signed', async () => {
    const names = async (signed: boolean) =>
      (await readLocalRelease(build.folder, build.manifest, { signed })).assets.map(({ name }) => name)
    expect(await names(true)).toContain('SHA256SUMS.sig')
    expect(await names(false)).not.toContain('SHA256SUMS.sig')
  })
})
