import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Manifest } from '../build/manifest.ts'
import { CONTENTS_FILE, type Contents, PART_SIZE, type Part, type ReleaseFile } from './contents.ts'
import { SIGNATURE_FILE, SUMS_FILE } from './sums.ts'
import { REPORT_FILE } from './test-report.ts'

/** An asset as it is to be, and where its bytes are. */
export interface LocalAsset extends Part {
  /** Its bytes from the start. */
  open(): Readable
}

/** A build as the release that it becomes. */
export interface LocalRelease {
  readonly contents: Contents
  readonly assets: readonly LocalAsset[]
}

/** A part of a file: where it begins and how long it is, in bytes. */
interface Piece {
  readonly name: string
  readonly start: number
  readonly size: number
}

/** The assets that a file of this size becomes: itself, or `NAME.part-01`, `NAME.part-02`, … of `partSize` bytes. */
export function piecesOf(name: string, size: number, partSize: number = PART_SIZE): Piece[] {
  if (size <= partSize) return [{ name, start: 0, size }]
  return Array.from({ length: Math.ceil(size / partSize) }, (_, index) => ({
    name: `${name}.part-${String(index + 1).padStart(2, '0')}`,
    start: index * partSize,
    size: Math.min(partSize, size - index * partSize),
  }))
}

/**
 * Reads the files of a build folder once, for the digests of the whole files and of their parts.
 * @param signed whether the signature is one of them
 * @param onBytes told how many bytes of how many were read
 */
export async function readLocalRelease(
  folder: string,
  manifest: Manifest,
  { signed, partSize }: { signed: boolean; partSize?: number | undefined },
  onBytes: (done: number, total: number) => void = () => undefined,
): Promise<LocalRelease> {
  const { image, version } = manifest
  const names = [
    manifest.qcow2.file,
    `${image}-${version}.manifest.json`,
    'template.conf',
    REPORT_FILE,
    SUMS_FILE,
    ...(signed ? [SIGNATURE_FILE] : []),
  ]
  const sized = await Promise.all(
    names.map(async (name) => ({ name, size: (await stat(join(folder, name))).size })),
  )
  const total = sized.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  const files: ReleaseFile[] = []
  const assets: LocalAsset[] = []
  for (const { name, size } of sized) {
    const path = join(folder, name)
    const pieces = piecesOf(name, size, partSize)
    const digests = await digestPieces(path, pieces, (bytes) => {
      done += bytes
      onBytes(done, total)
    })
    const parts = pieces.map((piece, index) => ({
      ...{ name: piece.name, size: piece.size, sha256: digests.parts[index] ?? '' },
    }))
    files.push({ name, size, sha256: digests.whole, parts })
    for (const [index, part] of parts.entries()) {
      const start = pieces[index]?.start ?? 0
      assets.push({ ...part, open: () => openPiece(path, { ...part, start }) })
    }
  }
  const contents: Contents = { schema: 1, image, version, raw: { sha256: manifest.raw.sha256 }, files }
  const text = Buffer.from(`${JSON.stringify(contents, null, 2)}\n`)
  assets.push({
    ...{ name: CONTENTS_FILE, size: text.length, sha256: createHash('sha256').update(text).digest('hex') },
    open: () => Readable.from([text]),
  })
  return { contents, assets }
}

async function digestPieces(
  path: string,
  pieces: readonly Piece[],
  onBytes: (bytes: number) => void,
): Promise<{ whole: string; parts: string[] }> {
  const whole = createHash('sha256')
  const parts: string[] = []
  for (const piece of pieces) {
    const part = createHash('sha256')
    for await (const chunk of openPiece(path, piece)) {
      whole.update(chunk)
      if (pieces.length > 1) part.update(chunk)
      onBytes(chunk.length)
    }
    if (pieces.length > 1) parts.push(part.digest('hex'))
  }
  const sha256 = whole.digest('hex')
  return { whole: sha256, parts: pieces.length > 1 ? parts : [sha256] }
}

function openPiece(path: string, { start, size }: Piece): Readable {
  // An end before the start is not a range, and an empty file has no bytes to read.
  if (size === 0) return Readable.from([])
  return createReadStream(path, { start, end: start + size - 1, highWaterMark: 256 * 1024 })
}
