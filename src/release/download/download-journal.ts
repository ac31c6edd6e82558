import { type FileHandle, open } from 'node:fs/promises'
import { readText } from '../../files/text-file.ts'
import type { Part } from '../format/contents.ts'

/** The state of a part after an earlier run. */
export interface PartProgress {
  /** Bytes of it on the disk. */
  readonly bytes: number
  /** It is complete, and its digest was right. */
  readonly done: boolean
}

const nothing: PartProgress = { bytes: 0, done: false }

/**
 * The progress of a download, in a file beside it: a first line with the digest of the content, then `BYTES PART` or
 * `done PART`, of which the last line of a part counts. The bytes are on the disk before their line is written.
 */
export class DownloadJournal {
  readonly #handle: FileHandle
  readonly #marks: Map<string, PartProgress>

  private constructor(handle: FileHandle, marks: Map<string, PartProgress>) {
    this.#handle = handle
    this.#marks = marks
  }

  /** Opens the journal of an earlier run of the same content, or a new one. */
  static async open(file: string, contentsDigest: string): Promise<DownloadJournal> {
    const text = await readText(file).catch(() => '')
    const marks = parseMarks(text, contentsDigest)
    const handle = await open(file, 'a', 0o644)
    try {
      // Without an incomplete last line, to which the next one would be appended.
      await handle.truncate(marks ? text.lastIndexOf('\n') + 1 : 0)
      if (!marks) await handle.write(`${heading(contentsDigest)}\n`)
      await handle.datasync()
    } catch (error) {
      await handle.close()
      throw error
    }
    return new DownloadJournal(handle, marks ?? new Map())
  }

  /** Whether there is no progress of an earlier run. */
  get isNew(): boolean {
    return this.#marks.size === 0
  }

  of(part: Part): PartProgress {
    return this.#marks.get(part.name) ?? nothing
  }

  async mark(part: Part, mark: PartProgress): Promise<void> {
    this.#marks.set(part.name, mark)
    // A single small write in append mode: the lines of parallel downloads do not mix.
    await this.#handle.write(`${mark.done ? 'done' : mark.bytes} ${part.name}\n`)
    await this.#handle.datasync()
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** The marks by part; undefined for a journal of other content. */
export function parseMarks(text: string, contentsDigest: string): Map<string, PartProgress> | undefined {
  const [first, ...lines] = text.split('\n')
  if (first !== heading(contentsDigest) || lines.length === 0) return undefined
  const marks = new Map<string, PartProgress>()
  // The text after the last line break is incomplete.
  for (const line of lines.slice(0, -1)) {
    const [, bytes, name] = /^(done|\d{1,15}) (\S+)$/.exec(line) ?? []
    if (bytes === undefined || name === undefined) continue
    marks.set(name, bytes === 'done' ? { bytes: 0, done: true } : { bytes: Number(bytes), done: false })
  }
  return marks
}

function heading(contentsDigest: string): string {
  return `seeder download 1 ${contentsDigest}`
}
