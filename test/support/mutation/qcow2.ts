import type { Random } from './random.ts'

type Change = (disk: Buffer, random: Random) => Buffer

/** Fields of the header (docs/interop/qcow2.rst of QEMU): where they are, and how many bytes they have. */
const FIELDS: readonly (readonly [offset: number, bytes: 4 | 8])[] = [
  ...([
    [0, 4],
    [4, 4],
    [8, 8],
    [16, 4],
    [20, 4],
    [24, 8],
    [32, 4],
    [36, 4],
    [40, 8],
  ] as const),
  ...([
    [48, 8],
    [56, 4],
    [60, 4],
    [64, 8],
    [72, 8],
    [80, 8],
    [88, 8],
    [96, 4],
    [100, 4],
    [104, 4],
  ] as const),
]

const VALUES = [
  0n,
  1n,
  2n,
  4n,
  9n,
  31n,
  64n,
  0x7fffffffn,
  0xffffffffn,
  0x7fffffffffffffffn,
  0xffffffffffffffffn,
]

/** Ways to spoil a disk image so that its header or its tables say something else. */
export const QCOW2_CHANGES: Readonly<Record<string, Change>> = {
  'a field of the header': (disk, random) => {
    const copy = Buffer.from(disk)
    const [offset, bytes] = random.pick(FIELDS)
    const value = random.pick(VALUES)
    if (bytes === 8) copy.writeBigUInt64BE(value, offset)
    else copy.writeUInt32BE(Number(value & 0xffffffffn), offset)
    return copy
  },
  'bits of the header': (disk, random) => {
    const copy = Buffer.from(disk)
    const offset = random.below(112)
    copy.writeUInt8(copy.readUInt8(offset) ^ (1 << random.below(8)), offset)
    return copy
  },
  'the name of another file': (disk, random) => {
    const copy = Buffer.from(disk)
    const name = random.pick(['/etc/shadow', 'nbd://127.0.0.1:1/x', '\u001b[2J', 'json:{"driver":"null-co"}'])
    copy.writeBigUInt64BE(512n, 8)
    copy.writeUInt32BE(name.length, 16)
    copy.write(name, 512)
    return copy
  },
  'its tables': (disk, random) => {
    const copy = Buffer.from(disk)
    const tables = Number(copy.readBigUInt64BE(40))
    for (let count = 0; count < 4; count++) copy.writeUInt8(random.below(256), tables + random.below(64))
    return copy
  },
  'only its header': (disk) => disk.subarray(0, 112),
}
