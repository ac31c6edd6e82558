import { type FileHandle, open } from 'node:fs/promises'
import { readText } from '../../files/text-file.ts'
import type { Part } from '../format/contents.ts'

/** What is known of a part that an earlier run worked on. */
export interface PartProgress {
  /** Bytes of it on the disk. */
  readonly bytes: number
  /** They are all of them, and their digest was right. */
  readonly done: boolean
}

const nothing: PartProgress = { bytes: 0, done: false }

/**
 * How far a download has come, in a small file beside it: a first line with the digest of the release's contents, and
 * then `BYTES PART` or `done PART`, the last one of a part counting. A line is written when what it says is on the disk.
 */
export class DownloadJournal {
  readonly #handle: FileHandle
  readonly #marks: Map<string, PartProgress>

  private constructor(handle: FileHandle, marks: Map<string, PartProgress>) {
    this.#handle = handle
    this.#marks = marks
  }

  /** The journal of an earlier run, when it is about the same contents; a new one otherwise. */
  static async open(file: string, contentsDigest: string): Promise<DownloadJournal> {
    const text = await readText(file).catch(() => '')
    const marks = parseMarks(text, contentsDigest)
    const handle = await open(file, 'a', 0o644)
    try {
      // A line that a kill has cut short goes, or the next one would be its end.
      await handle.truncate(marks ? text.lastIndexOf('\n') + 1 : 0)
      if (!marks) await handle.write(`${heading(contentsDigest)}\n`)
      await handle.datasync()
    } catch (error) {
      await handle.close()
      throw error
    }
    return new DownloadJournal(handle, marks ?? new Map())
  }

  /** Whether an earlier run has left anything that counts. */
  get isNew(): boolean {
    return this.#marks.size === 0
  }

  of(part: Part): PartProgress {
    return this.#marks.get(part.name) ?? nothing
  }

  async mark(part: Part, mark: PartProgress): Promise<void> {
    this.#marks.set(part.name, mark)
    // One write of a few bytes at the end of the file: parts that are written at once do not mix.
    await this.#handle.write(`${mark.done ? 'done' : mark.bytes} ${part.name}\n`)
    await this.#handle.datasync()
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** The marks by part; undefined for a journal of other contents, or none. */
export function parseMarks(text: string, contentsDigest: string): Map<string, PartProgress> | undefined {
  const [first, ...lines] = text.split('\n')
  if (first !== heading(contentsDigest) || lines.length === 0) return undefined
  const marks = new Map<string, PartProgress>()
  // What stands behind the last line break was cut short.
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
