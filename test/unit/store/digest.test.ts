import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { virtualBytes } from '../../../bench/boot-time.ts'
import { fileDigest, rawDigest } from '../../../src/store/digest.ts'

test('the digest of the disk inside an image is that of the raw disk', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'seeder digests,'))
  const raw = Buffer.concat([Buffer.from('begin'), Buffer.alloc(3 * 1024 ** 2 - 5)])
  await writeFile(join(folder, 'a.raw'), raw)
  const image = join(folder, 'a.qcow2')
  await execa('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', join(folder, 'a.raw'), image])
  const expected = { sha256: createHash('sha256').update(raw).digest('hex'), size: raw.length }
  expect(await fileDigest(join(folder, 'a.raw'))).toEqual(expected)
  expect(await rawDigest(image, join(folder, 'scratch'))).toEqual(expected)
  expect(await virtualBytes(image)).toBe(raw.length)
  await writeFile(image, 'not an image')
  await expect(rawDigest(image, join(folder, 'scratch'))).rejects.toThrow(`could not unpack ${image}`)
  expect(await readdir(folder)).not.toContain('scratch')
  await rm(folder, { recursive: true })
})
