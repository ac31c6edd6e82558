import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, describe, expect, it } from 'vitest'
import { assemblyScript, kernelCommandLine, partitionsOf, partitionUuid } from '../../src/build/disk.ts'
import { stableUuid } from '../../src/build/rootfs.ts'
import type { Usr } from '../../src/build/usr.ts'
import { loadImage } from '../../src/image/definition.ts'

const image = await loadImage(join(import.meta.dirname, '../..'), 'haproxy')
const roothash = '0123456789abcdef'.repeat(4)
const usr: Usr = { folder: '/u', roothash, salt: 'ab'.repeat(32), blocks: 1000, key: 'k' }
const sizes = { usr: 4_096_000, verity: 40_960, root: 512 * 1024 * 1024 }
const root = await mkdtemp(join(tmpdir(), 'seeder-disk-'))
afterAll(() => rm(root, { recursive: true }))

describe('identities', () => {
  it('of /usr and its hash tree are the halves of the root hash, as the specification has it', () => {
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

it('the kernel’s command line ties it to this /usr and gives a serial console', () => {
  const words = kernelCommandLine(usr).split(' ')
  expect(words).toEqual(
    expect.arrayContaining([
      `usrhash=${roothash}`,
      `seeder.usr=erofs,1000,${usr.salt}`,
      'console=ttyS0,115200',
    ]),
  )
})

/** The program that writes partition tables is in the tools tree; a machine has it as well, or this test tells so. */
describe('the assembly, run on files of this test', () => {
  it('puts every content at its place, on full MiB, with the last bytes of the disk for the second table', async () => {
    const partitions = partitionsOf(image, usr, {
      usr: 4_096_000,
      verity: 40_960,
      root: 3 * 1024 * 1024,
    }).map((partition, index) => ({
      ...partition,
      content: join(root, `content ${index}`.replace(' ', '-')),
    }))
    for (const [index, { content, size }] of partitions.entries()) {
      await writeFile(content, `content ${index}`)
      await truncate(content, size)
    }
    const script = assemblyScript(image, partitions).replaceAll('/scratch/', `${root}/`)
    const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
    await execa('sh', ['-euc', script], { env })
    const { stdout } = await execa(
      'partx',
      ['--raw', '--noheadings', '--output', 'START,SECTORS,NAME,UUID', join(root, 'disk.raw')],
      { env },
    )
    const id = roothash.slice(0, 24)
    const rows = stdout.split('\n').map((row) => row.split(' '))
    expect(
      rows.map(([start, sectors, name]) => [Number(start) / 2048, Number(sectors) / 2048, name]),
    ).toEqual([
      [1, 64, 'esp'],
      [65, 4, `usr-${id}`],
      [69, 1, `verity-${id}`],
      [70, 3, 'root'],
    ])
    expect(rows.map(([, , , uuid]) => uuid)).toEqual(
      partitions.map((partition) => partition.uuid.toLowerCase()),
    )
    for (const [index, [start]] of rows.entries()) {
      const read = ['status=none', 'bs=512', `skip=${start}`, 'count=1', `if=${join(root, 'disk.raw')}`]
      expect((await execa('dd', read)).stdout.replaceAll('\0', '')).toBe(`content ${index}`)
    }
  })
})
