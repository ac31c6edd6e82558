import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { lstat, open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { bundleListName, bundleName } from '../../build/bundle/format.ts'
import { type Manifest, manifestName, qcow2Name } from '../../build/manifest.ts'
import { parseSums, SIGNATURE_FILE, SUMS_FILE } from '../../build/sums.ts'
import { evidenceNames } from '../../evidence/names.ts'
import { SeederError } from '../../report/error.ts'
import { MOST_BYTES } from '../format/asset-text.ts'
import { CONTENTS_FILE, type Contents, PART_SIZE, type Part, type ReleaseFile } from '../format/contents.ts'
import { formatTag, parseTag } from '../format/tag.ts'
import { REPORT_FILE } from '../format/test-report.ts'

/** An asset to upload. */
export interface LocalAsset extends Part {
  /** Streams its bytes from the beginning. */
  open(): Readable
}

/** The release of a build, before it is uploaded. */
export interface LocalRelease {
  readonly contents: Contents
  readonly assets: readonly LocalAsset[]
  /** The content of all files but the disk, by name. */
  readonly small: ReadonlyMap<string, Buffer>
}

/** Without following a link that was put there in the meantime. */
const PLAINLY = constants.O_RDONLY | constants.O_NOFOLLOW

/** A part of a file, in bytes. */
interface Piece {
  readonly name: string
  readonly start: number
  readonly size: number
}

/** Splits a file of this size into assets: itself, or `NAME.part-01`, `NAME.part-02`, … of `partSize` bytes. */
export function piecesOf(name: string, size: number, partSize: number = PART_SIZE): Piece[] {
  if (size <= partSize) return [{ name, start: 0, size }]
  return Array.from({ length: Math.ceil(size / partSize) }, (_, index) => ({
    name: `${name}.part-${String(index + 1).padStart(2, '0')}`,
    start: index * partSize,
    size: Math.min(partSize, size - index * partSize),
  }))
}

/**
 * Reads the files of a build folder and computes the digests of files and parts. All but the disk stay in memory, so
 * that what is uploaded is what was read. Links are not followed.
 * @param signed whether to include the signature
 * @param onBytes called with the bytes read so far, and their total
 * @throws SeederError when a file is missing, not a plain file or too large, or the manifest has a wrong name
 */
export async function readLocalRelease(
  folder: string,
  manifest: Manifest,
  { signed, partSize }: { signed: boolean; partSize?: number | undefined },
  onBytes: (done: number, total: number) => void = () => undefined,
): Promise<LocalRelease> {
  const { image, version } = manifest
  requireOwnNames(manifest)
  const disk = join(folder, manifest.qcow2.file)
  const sums = await readSmallFile(join(folder, SUMS_FILE))
  const listed = parseSums(sums.toString())
  const small = new Map([[SUMS_FILE, sums]])
  for (const name of [
    manifestName(manifest),
    'template.conf',
    REPORT_FILE,
    ...[...evidenceNames(manifest), bundleListName(manifest)].filter((name) => listed.has(name)),
    ...(signed ? [SIGNATURE_FILE] : []),
  ]) {
    small.set(name, await readSmallFile(join(folder, name)))
  }
  const { file, assets } = await describeInParts(disk, manifest.qcow2.file, partSize, onBytes)
  const others = [...small].map(([name, content]) => assetOf(name, content))
  const files = [
    file,
    ...others.map(({ name, size, sha256 }) => ({ name, size, sha256, parts: [{ name, size, sha256 }] })),
  ]
  const contents: Contents = { schema: 1, image, version, raw: { sha256: manifest.raw.sha256 }, files }
  return { contents, assets: [...assets, ...others, describe(contents)], small }
}

/** Adds the bundle in the file `path`, which has to exist until it is uploaded. */
export async function withBundleFile(
  { contents, assets, small }: LocalRelease,
  path: string,
  partSize: number | undefined,
): Promise<LocalRelease> {
  const bundle = await describeInParts(path, bundleName(contents), partSize, () => undefined)
  const complete: Contents = { ...contents, bundleFile: bundle.file }
  const others = assets.filter(({ name }) => name !== CONTENTS_FILE)
  return { contents: complete, assets: [...others, ...bundle.assets, describe(complete)], small }
}

function describe(contents: Contents): LocalAsset {
  return assetOf(CONTENTS_FILE, Buffer.from(`${JSON.stringify(contents, null, 2)}\n`))
}

/**
 * Requires the usual names in a manifest, as they become paths.
 * @throws SeederError
 */
function requireOwnNames(manifest: Manifest): void {
  const tag = formatTag(manifest)
  const parsed = parseTag(tag)
  if (parsed?.image !== manifest.image || parsed.version !== manifest.version) {
    throw new SeederError(`the manifest is of ${JSON.stringify(tag)}, which is no version of an image`, {
      fix: 'build it again',
    })
  }
  const { file } = manifest.qcow2
  if (file === qcow2Name(manifest)) return
  throw new SeederError(`the manifest of ${tag} names the disk ${JSON.stringify(file)}`, {
    fix: `it has to be ${qcow2Name(manifest)}: build it again`,
  })
}

function assetOf(name: string, content: Buffer): LocalAsset {
  const sha256 = createHash('sha256').update(content).digest('hex')
  return { name, size: content.length, sha256, open: () => Readable.from([content]) }
}

/** Reads a file once, and computes its digest and those of its parts. */
async function describeInParts(
  path: string,
  name: string,
  partSize: number | undefined,
  onBytes: (done: number, total: number) => void,
): Promise<{ file: ReleaseFile; assets: LocalAsset[] }> {
  const { size } = await requirePlain(path)
  const pieces = piecesOf(name, size, partSize)
  let done = 0
  const whole = createHash('sha256')
  const assets: LocalAsset[] = []
  for (const piece of pieces) {
    const part = createHash('sha256')
    for await (const chunk of openPiece(path, piece)) {
      whole.update(chunk)
      if (pieces.length > 1) part.update(chunk)
      done += chunk.length
      onBytes(done, size)
    }
    const sha256 = (pieces.length > 1 ? part : whole.copy()).digest('hex')
    assets.push({ name: piece.name, size: piece.size, sha256, open: () => openPiece(path, piece) })
  }
  const parts = assets.map((asset) => ({ name: asset.name, size: asset.size, sha256: asset.sha256 }))
  return { file: { name, size, sha256: whole.digest('hex'), parts }, assets }
}

async function readSmallFile(path: string): Promise<Buffer> {
  const { size } = await requirePlain(path)
  if (size > MOST_BYTES) {
    throw new SeederError(`${path} has ${size} bytes; at most ${MOST_BYTES} are expected`, {
      fix: 'build and test it again',
    })
  }
  const handle = await open(path, PLAINLY)
  return handle.readFile().finally(() => handle.close())
}

/** @throws SeederError for anything but a plain file: a link may lead to a secret of this machine */
async function requirePlain(path: string): Promise<Stats> {
  const found = await lstat(path).catch((cause: unknown) => {
    throw new SeederError(`${path} is not there`, { fix: 'build and test it again', cause })
  })
  if (found.isFile()) return found
  throw new SeederError(`${path} is not a plain file`, {
    fix: 'links are not published: build it again',
  })
}

function openPiece(path: string, piece: Piece): Readable {
  return Readable.from(bytesOf(path, piece), { objectMode: false })
}

async function* bytesOf(path: string, { start, size }: Piece): AsyncGenerator<Buffer> {
  // An empty range is not possible.
  if (size === 0) return
  const handle = await open(path, PLAINLY)
  const range = { start, end: start + size - 1, highWaterMark: 256 * 1024, autoClose: false }
  try {
    yield* handle.createReadStream(range)
  } finally {
    await handle.close()
  }
}
