import { join } from 'node:path'
import { readText, unlessRead } from '../files/text-file.ts'
import { SeederError } from '../report/error.ts'

export const SUMS_FILE = 'SHA256SUMS'
export const SIGNATURE_FILE = 'SHA256SUMS.sig'

/** Digests in hex, by the name of the file. */
export type Sums = ReadonlyMap<string, string>

const LINE = /^([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._-]*)$/

/** @throws SeederError for a malformed line, a name with a path, or a name that is listed twice */
export function parseSums(text: string): Sums {
  const sums = new Map<string, string>()
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, digest, name] = LINE.exec(line) ?? []
    if (digest === undefined || name === undefined || sums.has(name)) {
      throw new SeederError(`${SUMS_FILE} has an invalid line: ${JSON.stringify(line.slice(0, 200))}`, {
        fix: 'build it again, or publish it again: each file has one line, as sha256sum writes it',
      })
    }
    sums.set(name, digest)
  }
  return sums
}

/**
 * Reads the digests of a build or a download.
 * @throws SeederError when the folder has no SHA256SUMS, and as `parseSums`
 */
export async function readSums(folder: string): Promise<Sums> {
  const missing = (cause: unknown) =>
    new SeederError(`${folder} does not hold a build: it has no ${SUMS_FILE}`, {
      fix: 'give the folder that `build --out` or a download left',
      cause,
    })
  return parseSums(await readText(join(folder, SUMS_FILE)).catch(unlessRead(missing)))
}
