import { z } from 'zod'
import { execa } from '../../process/child-process.ts'

/** What a package's own changelog says of the versions after the one that there was. */
export const packageChangesSchema = z
  .object({
    name: z.string(),
    /** Whole entries, newest first. */
    text: z.string(),
  })
  .readonly()

export type PackageChanges = z.output<typeof packageChangesSchema>

/** Entries longer than this together are cut: a package that skips years has thousands of lines. */
const MOST_CHARACTERS = 20_000

/**
 * Reads the changelog in a package's file.
 * @param deb the file of the newer version
 * @param before the version that there was; its entry and older ones are left out
 * @returns undefined when the package has none, or none that names that version
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
  // With a socket as its input, Bash can take itself for one that was started over the network, and read ~/.bashrc.
  const options = { reject: false, stdin: 'ignore' } as const
  const { exitCode, stdout } = await execa('bash', ['-c', script, 'changelog', deb, name], options)
  const text = exitCode === 0 ? entriesSince(stdout, before) : undefined
  return text === undefined || text === '' ? undefined : { name, text }
}

/** The entries above the one of version `before`; undefined when there is no such one. */
export function entriesSince(changelog: string, before: string): string | undefined {
  const lines = changelog.split('\n')
  const end = lines.findIndex((line) => /^\S+ \(([^)]+)\)/.exec(line)?.[1] === before)
  if (end < 0) return undefined
  const text = lines.slice(0, end).join('\n').trim()
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}\n…` : text
}
