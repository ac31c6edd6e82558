import { crc32 } from 'node:zlib'

/** A zip as no tool writes it: entries of any name, stored as they are; `mode` is a Unix file's, as of a link. */
export function plainZip(
  entries: readonly { readonly name: string; readonly content: string; readonly mode?: number }[],
): Buffer {
  const parts: Buffer[] = []
  const central: Buffer[] = []
  let offset = 0
  for (const { name, content, mode = 0o100644 } of entries) {
    const [path, data] = [Buffer.from(name), Buffer.from(content)]
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(20, 4)
    local.writeUInt32LE(crc32(data), 14)
    local.writeUInt32LE(data.length, 18)
    local.writeUInt32LE(data.length, 22)
    local.writeUInt16LE(path.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    // Made on Unix: then the upper half of the attributes is the mode.
    entry.writeUInt16LE((3 << 8) | 20, 4)
    local.copy(entry, 6, 4, 30)
    entry.writeUInt32LE(mode * 0x10000, 38)
    entry.writeUInt32LE(offset, 42)
    parts.push(local, path, data)
    central.push(entry, path)
    offset += local.length + path.length + data.length
  }
  const size = central.reduce((sum, { length }) => sum + length, 0)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(size, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, ...central, end])
}
