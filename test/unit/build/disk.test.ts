import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { assemblyScript, kernelCommandLine, partitionsOf, partitionUuid } from '../../../src/build/disk.ts'
import type { Usr } from '../../../src/build/usr.ts'
import { loadImage } from '../../../src/image/definition.ts'
import { stableUuid } from '../../../src/image/stable-uuid.ts'

const image = await loadImage(join(import.meta.dirname, '../../..'), 'haproxy')
const roothash = `${'0123456789abcdef'.repeat(2)}${'fedcba9876543210'.repeat(2)}`
const usr: Usr = { folder: '/u', roothash, salt: 'ab'.repeat(32), blocks: 1000, key: 'k' }
const sizes = { usr: 4_096_000, verity: 40_960, root: 512 * 1024 * 1024 }

describe('identities', () => {
  it('of /usr and its hash tree are the halves of the root hash, according to the specification', () => {
    expect(partitionUuid(roothash.slice(0, 32))).toBe('01234567-89ab-cdef-0123-456789abcdef')
    const [, data, tree] = partitionsOf(image, usr, sizes)
    expect([data?.uuid, tree?.uuid].map((uuid) => uuid?.replaceAll('-', '')).join('')).toBe(roothash)
  })

  it('only depend on the image’s name, and are version 4 UUIDs', () => {
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    expect(stableUuid('haproxy disk')).toMatch(uuid)
    expect(stableUuid('haproxy disk')).toBe(stableUuid('haproxy disk'))
    expect(stableUuid('haproxy disk')).not.toBe(stableUuid('etcd disk'))
    const all = partitionsOf(image, usr, sizes).map((partition) => partition.uuid)
    expect(new Set(all).size).toBe(all.length)
  })
})

it('the kernel’s command line ties it to this /usr and this list of /etc, and gives a serial console', () => {
  const words = kernelCommandLine(usr, { stateList: 'cd'.repeat(32) }).split(' ')
  expect(words).toEqual(
    expect.arrayContaining([
      `usrhash=${roothash}`,
      `seeder.usr=erofs,1000,${usr.salt}`,
      `seeder.state=${'cd'.repeat(32)}`,
      'console=ttyS0,115200',
    ]),
  )
})

describe('the assembly', () => {
  const script = assemblyScript(image, partitionsOf(image, usr, sizes))
  const MIB = 1024 * 1024
  const numbers = (pattern: RegExp) => [...script.matchAll(pattern)].map(([, number]) => Number(number))

  it('puts one partition after the other, on full MiB, and each content where its partition starts', () => {
    const starts = numbers(/^start=(\d+),/gm).map((sectors) => (sectors * 512) / MIB)
    expect(starts).toEqual([1, 65, 69, 70])
    expect(numbers(/ size=(\d+),/gm).map((sectors) => (sectors * 512) / MIB)).toEqual([64, 4, 1, 512])
    expect(numbers(/bs=1M seek=(\d+) /g)).toEqual(starts)
  })

  it('leaves a MiB after the last one, for the copy of the table', () => {
    expect(numbers(/truncate -s (\d+)M/g)).toEqual([70 + 512 + 1])
  })

  it('marks /usr read-only and the root file system as one that grows', () => {
    const rows = [...script.matchAll(/name="(\w+)[^"]*"(?:, attrs="GUID:(\d+)")?/g)].map(([, name, bit]) => [
      name,
      bit,
    ])
    expect(rows).toEqual([
      ['esp', undefined],
      ['usr', '60'],
      ['verity', '60'],
      ['root', '59'],
    ])
  })
})
