import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { SeederError } from '../report/error.ts'
import { formatBytes } from '../report/table.ts'

/** Maximum bytes of a text that is read as a whole: the list of files of a big image has a tenth of it. */
export const MOST_TEXT = 64 * 1024 ** 2

interface Reading {
  /** Maximum bytes of the file. */
  readonly most?: number
  /** Whether a pipe is allowed, as of a shell's `<(…)`: then reading waits for it. */
  readonly pipes?: boolean
}

/**
 * Reads a small file. Its type and size are checked first, so that no pipe blocks and no huge file fills the memory.
 * @throws what `open` throws; SeederError when it is not a plain file, or has more than `most` bytes
 */
export async function readSmall(
  file: string,
  { most = MOST_TEXT, pipes = false }: Reading = {},
): Promise<Buffer> {
  const handle = await open(file, constants.O_RDONLY | (pipes ? 0 : constants.O_NONBLOCK))
  try {
    const found = await handle.stat()
    if (found.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' })
    if (!found.isFile() && !(pipes && (found.isFIFO() || found.isCharacterDevice()))) {
      throw new SeederError(`${file} is not a plain file`, { fix: 'see what was put in its place' })
    }
    if (found.size > most) throw tooBig(file, most)
    return await readUpTo(handle, file, most)
  } finally {
    await handle.close()
  }
}

/**
 * As `readSmall`, of a file with text in UTF-8. A byte order mark is removed.
 * @throws SeederError also for bytes that are not UTF-8
 */
export async function readText(file: string, reading: Reading = {}): Promise<string> {
  return decoded(await readSmall(file, reading), file)
}

/** Decodes UTF-8. `name` is for the message of the SeederError that invalid bytes cause. */
export function decoded(bytes: Buffer, name: string): string {
  const text = bytes.toString('utf8')
  const back = Buffer.from(text)
  if (back.equals(bytes)) return text.replace(/^\ufeff/, '')
  const first = bytes.findIndex((byte, index) => back[index] !== byte)
  throw new SeederError(`${name} is not text in UTF-8: see its byte ${first < 0 ? bytes.length : first}`, {
    fix: 'save it as UTF-8, or build or download it again if nobody wrote it by hand',
  })
}

/**
 * For `catch`: throws `missing` for a file that cannot be read, but passes on the SeederError of one that is invalid.
 */
export function unlessRead(missing: (cause: unknown) => Error): (cause: unknown) => never {
  return (cause) => {
    throw cause instanceof SeederError ? cause : missing(cause)
  }
}

// A file can grow while it is read, and those of /proc have no size.
async function readUpTo(handle: FileHandle, file: string, most: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of handle.createReadStream({ autoClose: false })) {
    chunks.push(chunk)
    size += chunk.length
    if (size > most) throw tooBig(file, most)
  }
  return Buffer.concat(chunks)
}

function tooBig(file: string, most: number): SeederError {
  return new SeederError(`${file} is too big: such a file has at most ${formatBytes(most)}`, {
    fix: 'see what was put in its place; build or download it again',
  })
}
