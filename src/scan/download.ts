import { hash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import { jsonOf, whyNot } from '../files/json.ts'
import { readSmall } from '../files/text-file.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { printable } from '../report/printable.ts'

/** A downloaded file or folder, with its age and digest. */
export const downloadSchema = z
  .object({
    /** The name of the file or folder. */
    name: z.string(),
    /** Of the file; for a folder, of the output of `sha256sum *.json` in it. */
    sha256: z.string(),
    /** Its date of publication, or the date of its newest entry. Null when it has none. */
    date: z.iso.datetime().nullable(),
    /** The modification time of the file, or of the newest in the folder. */
    written: z.iso.datetime(),
  })
  .readonly()

export type Download = z.output<typeof downloadSchema>

/** Bytes: ten times the whole tracker of Debian. */
const MAX_BYTES = 1024 ** 3 / 2

/**
 * Reads the JSON of a file, or of all `.json` files of a folder. A file has a document, an array of documents, or a document
 * per line.
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
      const content = await readSmall(file, { most: MAX_BYTES, pipes: true })
      for (const document of parse(file, content.toString('utf8'))) documents.push(document)
      digests.push(hash('sha256', content))
      written = Math.max(written, (await stat(file)).mtimeMs)
    }
    const list = names.map((name, index) => `${digests[index]}  ${name}\n`).join('')
    return {
      name: printable(basename(resolve(path))),
      sha256: isFolder ? hash('sha256', list) : (digests[0] ?? ''),
      written: new Date(written).toISOString(),
      documents,
    }
  } catch (cause) {
    if (cause instanceof SeederError) throw cause
    throw new UsageError(`${path} cannot be read`, { fix: 'check that it exists', cause })
  }
}

function parse(file: string, text: string): unknown[] {
  try {
    const whole: unknown = JSON.parse(text)
    return Array.isArray(whole) ? whole : [whole]
  } catch {
    // Perhaps a document per line.
  }
  try {
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map(jsonOf)
  } catch (cause) {
    throw new SeederError(`${file} cannot be used: ${whyNot(cause)}`, { fix: 'download it again', cause })
  }
}

/** The newest valid date of these texts, or null. */
export function newestDate(texts: Iterable<string | undefined>): string | null {
  let newest = Number.NEGATIVE_INFINITY
  for (const text of texts) {
    const time = Date.parse(text ?? '')
    if (time > newest) newest = time
  }
  return Number.isFinite(newest) ? new Date(newest).toISOString() : null
}

/** Distributions report vulnerabilities every day, so an older download lacks some. */
const FRESH_DAYS = 7

/** The age of an outdated download in days; undefined while it is fresh. */
export function staleDays({ date, written }: Download, now: string): number | undefined {
  const days = Math.floor((Date.parse(now) - Date.parse(date ?? written)) / (24 * 3600 * 1000))
  return days > FRESH_DAYS ? days : undefined
}
