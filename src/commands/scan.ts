import { type Command, Option } from 'commander'
import { z } from 'zod'
import { readOutput } from '../build/output.ts'
import { cyclonedxName } from '../evidence/names.ts'
import { type BuildRecord, readBuildRecord } from '../release/format/build-record.ts'
import { SeederError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { readExploited, readFeeds } from '../scan/feed.ts'
import { type Known, lookUp, NO_FEED } from '../scan/known.ts'
import { scanText } from '../scan/known-text.ts'
import { scanResultSchema } from '../scan/scan.ts'
import { examples } from './options.ts'

/** The output of `scan --json`. */
export const imageScanSchema = z
  .object({ image: z.string(), version: z.string(), ...scanResultSchema.unwrap().shape })
  .readonly()

export type ImageScan = z.output<typeof imageScanSchema>

/** Downloaded files or folders with known vulnerabilities. */
export interface FeedOptions {
  readonly feed?: readonly string[] | undefined
  /** CISA's catalog. */
  readonly exploited?: string | undefined
}

interface ScanFlags extends FeedOptions {
  readonly failOn?: 'any' | 'fixable' | 'exploited'
  readonly json?: boolean
}

/** Adds `scan DIR`. It exits with 1 when it finds a vulnerability of `--fail-on`. */
export function registerScanCommand(program: Command): void {
  program
    .command('scan')
    .description('Look up the packages of an image in a feed of known vulnerabilities, without any network.')
    .argument('<dir>', 'folder of a build or a download')
    .addOption(feedOption().makeOptionMandatory())
    .addOption(exploitedOption())
    .addOption(
      new Option('--fail-on <which>', 'exit with 1 when there is such a vulnerability').choices([
        'any',
        'fixable',
        'exploited',
      ]),
    )
    .option('--json', 'print JSON')
    .addHelpText('after', examples('seeder scan out/haproxy --feed debian.json'))
    .action(async (folder: string, flags: ScanFlags) => {
      const result = await scanCommand(folder, flags)
      const { image, version, ...found } = result
      print(flags.json ? result : scanText(`${image} ${version}`, found))
      requireNone(result, flags)
    })
}

export function feedOption(): Option {
  return new Option(
    '--feed <path>',
    'read the JSON of Debian’s security tracker, or vulnerabilities in OSV’s form (file or folder); may be repeated',
  ).argParser((path: string, before: string[] | undefined) => [...(before ?? []), path])
}

export function exploitedOption(): Option {
  return new Option('--exploited <file>', 'read CISA’s catalog of known exploited vulnerabilities')
}

/**
 * Looks up the packages of a build.
 * @throws SeederError when it has no bill of materials, or no feed is about its release
 */
export async function scanCommand(folder: string, options: FeedOptions): Promise<ImageScan> {
  const { manifest, damaged } = await readOutput(folder)
  const name = cyclonedxName(manifest)
  if (damaged.includes(name)) {
    throw new SeederError(`${name} differs from SHA256SUMS`, { fix: 'build or download it again' })
  }
  const known = requireKnown(await knownOf(await readBuildRecord(folder), undefined, options))
  const { image, version } = manifest
  return { image, version, ...known.now }
}

/**
 * The known vulnerabilities of an image, compared with an older one; not scanned without a feed.
 * @throws SeederError when it has no bill of materials, or a feed cannot be read
 */
export async function knownOf(
  after: BuildRecord,
  before: BuildRecord | undefined,
  { feed: paths = [], exploited }: FeedOptions,
  now = new Date(),
): Promise<Known> {
  if (paths.length === 0) return NO_FEED
  const contained = await after.contained?.()
  if (!contained) {
    const { image, version } = after.manifest
    throw new SeederError(`${image} ${version} has no bill of materials that can be read`, {
      fix: 'build the image again: every build writes one',
    })
  }
  const catalog = exploited === undefined ? undefined : await readExploited(exploited)
  const feeds = await readFeeds(paths, contained.release)
  return lookUp(contained, await before?.contained?.(), { feeds, catalog }, now)
}

/** @throws SeederError when no feed is about the image's release */
export function requireKnown(known: Known): Extract<Known, { isScanned: true }> {
  if (known.isScanned) return known
  throw new SeederError(known.reason, { fix: 'give a feed for the release of the image' })
}

function requireNone({ counts, image, version }: ImageScan, { failOn }: ScanFlags): void {
  if (failOn === undefined) return
  const count = failOn === 'any' ? counts.total : counts[failOn]
  if (count === null) {
    throw new SeederError('--fail-on exploited needs the catalog', {
      fix: 'give the catalog with --exploited',
    })
  }
  if (count === 0) return
  const kind =
    failOn === 'any' ? '' : failOn === 'fixable' ? ' that a newer package fixes' : ' that are exploited'
  throw new SeederError(`${image} ${version} has ${count} known vulnerabilities${kind}`, {
    fix: failOn === 'exploited' ? 'do not use it' : 'lock, build and test it again',
  })
}
