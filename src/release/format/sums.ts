import { SeederError } from '../../report/error.ts'
import type { Contents } from './contents.ts'
import { REPORT_FILE } from './test-report.ts'

export const SUMS_FILE = 'SHA256SUMS'
export const SIGNATURE_FILE = 'SHA256SUMS.sig'

/** The files of a release that SHA256SUMS does not list: itself, what signs it, and what is made after it. */
const UNLISTED: readonly string[] = [SUMS_FILE, SIGNATURE_FILE, REPORT_FILE]

/**
 * The digests that SHA256SUMS lists, by name.
 * Throws SeederError for a line that is none, a name with a path in it, or one that is listed twice.
 */
export function parseSums(text: string): Map<string, string> {
  const listed = new Map<string, string>()
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, digest, name] = /^([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._-]*)$/.exec(line) ?? []
    if (digest === undefined || name === undefined || listed.has(name)) {
      throw new SeederError(
        `${SUMS_FILE} has a line that cannot be taken: ${JSON.stringify(line.slice(0, 200))}`,
        {
          fix: 'build it again, or publish it again: each file has one line, as sha256sum writes it',
        },
      )
    }
    listed.set(name, digest)
  }
  return listed
}

/**
 * Checks that SHA256SUMS, which is signed, lists the files of a release with the digests they have there, each of them
 * and no other. Throws SeederError with the first that is not so.
 */
export function requireSums(text: string, contents: Contents): void {
  const listed = parseSums(text)
  const wrong = { fix: 'build it again, or publish it again' }
  for (const { name, sha256 } of contents.files) {
    if (UNLISTED.includes(name)) continue
    const digest = listed.get(name)
    if (digest === undefined) throw new SeederError(`${SUMS_FILE} does not list ${name}`, wrong)
    if (digest !== sha256) {
      throw new SeederError(`${name} is not what ${SUMS_FILE} says (sha256 ${sha256}, not ${digest})`, wrong)
    }
    listed.delete(name)
  }
  const [more] = listed.keys()
  if (more !== undefined) throw new SeederError(`${SUMS_FILE} lists ${more}, which is not there`, wrong)
}
