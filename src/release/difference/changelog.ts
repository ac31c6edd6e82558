import { z } from 'zod'
import { execa } from '../../process/child-process.ts'

/** The entries of a package's changelog for the versions after the older one. */
export const packageChangesSchema = z
  .object({
    name: z.string(),
    /** Whole entries, newest first. */
    text: z.string(),
  })
  .readonly()

export type PackageChanges = z.output<typeof packageChangesSchema>

/** Maximum length of the entries: a package that skips years has thousands of lines. */
const MOST_CHARACTERS = 20_000

/**
 * Reads the changelog in a package's file.
 * @param deb the file of the newer version
 * @param before the older version: only entries above its own are returned
 * @returns undefined when the package has no changelog, or that version is not in it
 */
export async function changesSince(
  name: string,
  deb: string,
  before: string,
): Promise<PackageChanges | undefined> {
  const script = `set -o pipefail
for file in changelog.Debian changelog; do
  dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/share/doc/$2/$file.gz" 2> /dev/null | gzip -dc && exit 0
done
exit 1`
  // With a socket as its input, Bash may assume a network connection and read ~/.bashrc.
  const options = { reject: false, stdin: 'ignore' } as const
  const { exitCode, stdout } = await execa('bash', ['-c', script, 'changelog', deb, name], options)
  const text = exitCode === 0 ? entriesSince(stdout, before) : undefined
  return text === undefined || text === '' ? undefined : { name, text }
}

/** The entries above that of version `before`; undefined without such an entry. */
export function entriesSince(changelog: string, before: string): string | undefined {
  const lines = changelog.split('\n')
  const end = lines.findIndex((line) => /^\S+ \(([^)]+)\)/.exec(line)?.[1] === before)
  if (end < 0) return undefined
  const text = lines.slice(0, end).join('\n').trim()
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}\n…` : text
}
