import { createHash } from 'node:crypto'
import { type BundleFile, contentsOf } from '../../bundle/index.ts'
import type { Release, Releases } from '../../github/release.ts'
import { describeError } from '../../report/error.ts'
import { formatBytes } from '../../report/table.ts'
import type { Contents } from '../contents.ts'
import type { Finding } from '../finding.ts'
import { describeBundle, describeMissing } from './describe.ts'
import { fetchMembers } from './fetch.ts'
import { findMembers, type Placement } from './holders.ts'

const PLACES = 'files of the bundle'
const CONTENT = 'content of these files'

/** What is looked at, and how. */
export interface BundleCheck {
  /** All releases of the repository. */
  readonly all: readonly Release[]
  readonly release: Release
  readonly contents: Contents | undefined
  /** What its list, which is looked at elsewhere, has; undefined when there is none that can be read. */
  readonly files: readonly BundleFile[] | undefined
  /** Whether each file is downloaded and compared. */
  readonly download: boolean
}

/** Looks whether every file of a release's bundle is in some release's pack and, if asked for, whether it is that file. */
export async function verifyBundle(
  releases: Releases,
  { all, release, contents, files, download }: BundleCheck,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { bundle } = contents ?? {}
  if (!files) return [{ what: PLACES, result: 'not checked', found: 'there is no list of them' }]
  if (!bundle) return [{ what: PLACES, result: 'not checked', found: 'it was published without them' }]
  const wanted = contentsOf(files)
  const placement = await findMembers(releases, all, { release, bundle }, wanted, signal)
  if (placement.missing.length > 0) {
    return [{ what: PLACES, result: 'wrong', found: describeMissing(placement, files) }]
  }
  const places: Finding = { what: PLACES, result: 'right', found: describeBundle(bundle) }
  return [places, download ? await compare(releases, placement, wanted, signal) : unchecked]
}

const unchecked: Finding = {
  what: CONTENT,
  result: 'not checked',
  found: '`seeder bundle TAG` compares each, and so does --bundle here',
}

async function compare(
  releases: Releases,
  placement: Placement,
  wanted: readonly BundleFile[],
  signal: AbortSignal,
): Promise<Finding> {
  try {
    await fetchMembers(releases, placement, {
      signal,
      note: () => undefined,
      take: async (_span, bytes) => {
        const hash = createHash('sha256')
        for await (const chunk of bytes) hash.update(chunk)
        return hash.digest('hex')
      },
    })
  } catch (error) {
    signal.throwIfAborted()
    return { what: CONTENT, result: 'wrong', found: describeError(error).split('\n')[0] ?? '' }
  }
  const bytes = wanted.reduce((sum, { size }) => sum + size, 0)
  return { what: CONTENT, result: 'right', found: `sha256 of ${wanted.length}, ${formatBytes(bytes)}` }
}
