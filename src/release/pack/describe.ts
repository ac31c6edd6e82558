import type { BundleFile } from '../../bundle/index.ts'
import { formatBytes } from '../../report/table.ts'
import type { Contents } from '../contents.ts'
import type { Placement } from './holders.ts'

/** So many files that are missing are named. */
const MOST_NAMED = 3

/** Which files of a bundle no release has, and why that may be. */
export function describeMissing(
  { missing, reasons }: Pick<Placement, 'missing' | 'reasons'>,
  files: readonly BundleFile[],
): string {
  const names = new Map(files.map(({ sha256, name, path }) => [sha256, name ?? path]))
  const named = missing.slice(0, MOST_NAMED).map(({ sha256 }) => names.get(sha256) ?? sha256)
  const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : ''
  const verb = missing.length === 1 ? 'is' : 'are'
  return [`${named.join(', ')}${more} ${verb} in no release`, ...reasons].join('; ')
}

/** What a release brings of its bundle, and where the rest is. */
export function describeBundle({ pack, others }: NonNullable<Contents['bundle']>): string {
  const here = pack ? `${pack.members.length} files, ${formatBytes(pack.size)}, here` : 'nothing of it here'
  return others.length === 0 ? here : `${here}; the others in ${others.join(', ')}`
}
