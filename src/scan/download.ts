import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import { jsonOf, whyNot } from '../files/json.ts'
import { readSmall } from '../files/text-file.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { printable } from '../report/printable.ts'

/** What somebody has downloaded, and what distinguishes it from another download. */
export const downloadSchema = z
  .object({
    /** The name of the file or folder. */
    name: z.string(),
    /** Of the file; of a folder, of what `sha256sum *.json` prints in it. */
    sha256: z.string(),
    /** What it says itself of its age: when it was published, or of its newest entry. Null when it says nothing. */
    date: z.iso.datetime().nullable(),
    /** When the file was written here, the newest of a folder: what it says is not newer than that. */
    written: z.iso.datetime(),
  })
  .readonly()

export type Download = z.output<typeof downloadSchema>

/** Debian's whole tracker has a tenth of it. */
const MOST_FEED = 1024 ** 3 / 2

/**
 * Reads the JSON of a file, or of all `.json` files of a folder. A file has one document, an array of them, or one in each
 * line.
 * @throws UsageError when it cannot be read, SeederError when it is no JSON
 */
export async function readDownload(path: string): Promise<Omit<Download, 'date'> & { documents: unknown[] }> {
  try {
    const isFolder = (await stat(path)).isDirectory()
    const names = (isFolder ? await readdir(path) : []).filter((name) => name.endsWith('.json')).sort()
    const files = isFolder ? names.map((name) => join(path, name)) : [path]
    const documents: unknown[] = []
    const digests: string[] = []
    let written = 0
    for (const file of files) {
      const content = await readSmall(file, { most: MOST_FEED, pipes: true })
      for (const one of parse(file, content.toString('utf8'))) documents.push(one)
      digests.push(createHash('sha256').update(content).digest('hex'))
      written = Math.max(written, (await stat(file)).mtimeMs)
    }
    const list = names.map((name, index) => `${digests[index]}  ${name}\n`).join('')
    return {
      name: printable(basename(resolve(path))),
      sha256: isFolder ? createHash('sha256').update(list).digest('hex') : (digests[0] ?? ''),
      written: new Date(written).toISOString(),
      documents,
    }
  } catch (cause) {
    if (cause instanceof SeederError) throw cause
    throw new UsageError(`${path} cannot be read`, { fix: 'see whether it is there', cause })
  }
}

function parse(file: string, text: string): unknown[] {
  try {
    const whole: unknown = JSON.parse(text)
    return Array.isArray(whole) ? whole : [whole]
  } catch {
    // One in each line, perhaps.
  }
  try {
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map(jsonOf)
  } catch (cause) {
    throw new SeederError(`${file} cannot be used: ${whyNot(cause)}`, {
      fix: 'download it again',
      cause,
    })
  }
}

/** The newest of some dates as they are written in a download, or null. What is none is left out. */
export function newestDate(texts: Iterable<string | undefined>): string | null {
  let newest = Number.NEGATIVE_INFINITY
  for (const text of texts) {
    const time = Date.parse(text ?? '')
    if (time > newest) newest = time
  }
  return Number.isFinite(newest) ? new Date(newest).toISOString() : null
}

/** Distributions report vulnerabilities every day: what is older than this many days lacks some. */
const FRESH_DAYS = 7

/** How many days old a download is at least, when those are too many; undefined while it is fresh. */
export function staleDays({ date, written }: Download, now: string): number | undefined {
  const days = Math.floor((Date.parse(now) - Date.parse(date ?? written)) / (24 * 3600 * 1000))
  return days > FRESH_DAYS ? days : undefined
}
