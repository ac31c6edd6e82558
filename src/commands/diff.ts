import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { z } from 'zod'
import { interruption } from '../process/interruption.ts'
import { chooseRelease } from '../release/channel/choice.ts'
import { changesSince, type PackageChanges, packageChangesSchema } from '../release/difference/changelog.ts'
import { type Difference, differenceOf, differenceSchema } from '../release/difference/difference.ts'
import { describeDifference } from '../release/difference/difference-markdown.ts'
import { differenceText } from '../release/difference/difference-text.ts'
import { type BuildRecord, readBuildRecord, readReleaseRecord } from '../release/format/build-record.ts'
import { requireTag } from '../release/format/tag.ts'
import { SeederError } from '../report/error.ts'
import { folded, plain } from '../report/markdown.ts'
import { print } from '../report/print.ts'
import { knownSchema } from '../scan/known.ts'
import { describeKnown } from '../scan/known-markdown.ts'
import { knownText } from '../scan/known-text.ts'
import { Store } from '../store/store.ts'
import type { Context } from './context.ts'
import { connectRepository } from './context.ts'
import { examples } from './options.ts'
import { exploitedOption, type FeedOptions, feedOption, knownOf, requireKnown } from './scan.ts'

/** The differences of two versions, with the changelogs of changed packages. */
export const diffSchema = z
  .object({
    ...differenceSchema.unwrap().shape,
    /** Of the packages whose files are in this machine's package store. */
    changelogs: z.array(packageChangesSchema).readonly(),
    vulnerabilities: knownSchema,
  })
  .readonly()

export type DiffResult = z.output<typeof diffSchema>

/** Adds `diff A B`. */
export function registerDiffCommand(program: Command, context: () => Context): void {
  program
    .command('diff')
    .description('Show the differences of two versions of an image: packages, files, sizes, ports, checks.')
    .argument(
      '<a>',
      'the older: the folder of a build or a download, a tag, IMAGE:promoted or IMAGE:candidate',
    )
    .argument('<b>', 'the newer, in the same way')
    .option('--repository <owner/name>', 'read releases from this repository (default: $GITHUB_REPOSITORY)')
    .addOption(feedOption())
    .addOption(exploitedOption())
    .option('--markdown', 'print Markdown')
    .addOption(new Option('--json', 'print JSON').conflicts('markdown'))
    .addHelpText('after', examples('seeder diff haproxy:promoted out/haproxy'))
    .action(async (a: string, b: string, options: DiffOptions & { markdown?: boolean; json?: boolean }) => {
      const result = await diffCommand([a, b], options, context())
      const shown = options.json
        ? result
        : options.markdown
          ? markdown(result)
          : [
              differenceText(result),
              knownText(result.vulnerabilities, result.before, result.after),
              ...result.changelogs.map(({ name, text }) => `changelog of ${name}\n${text}`),
            ].join('\n\n')
      print(shown)
    })
}

interface DiffOptions extends FeedOptions {
  readonly repository?: string
}

/**
 * Compares two versions, the older first.
 * @throws UsageError when a name is neither a folder nor a tag, SeederError when a version cannot be read
 */
export async function diffCommand(
  [a, b]: readonly [string, string],
  { repository, ...feeds }: DiffOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<DiffResult> {
  const read = (what: string) => readFinished(what, repository, context, env)
  const [before, after] = [await read(a), await read(b)]
  const compared = await compareFinished(before, after, context)
  const vulnerabilities = await knownOf(after, before, feeds)
  if (feeds.feed !== undefined) requireKnown(vulnerabilities)
  return { ...compared, vulnerabilities }
}

/**
 * Compares two versions, with the changelogs of changed packages.
 * @throws SeederError when they are of different images
 */
export async function compareFinished(
  before: BuildRecord,
  after: BuildRecord,
  { cache }: Pick<Context, 'cache'>,
): Promise<Omit<DiffResult, 'vulnerabilities'>> {
  if (before.manifest.image !== after.manifest.image) {
    throw new SeederError(
      `the older version is of ${before.manifest.image}, and the newer of ${after.manifest.image}`,
      { fix: 'compare two versions of one image' },
    )
  }
  const difference = differenceOf(before, after)
  return { ...difference, changelogs: await readChangelogs(difference, after, cache) }
}

/**
 * Reads a version: a folder, a tag, IMAGE:promoted or IMAGE:candidate.
 * @throws UsageError when `name` is none of these, SeederError when the version cannot be read
 */
export async function readFinished(
  name: string,
  repository: string | undefined,
  context: Context,
  env: NodeJS.ProcessEnv,
): Promise<BuildRecord> {
  if (existsSync(join(name, 'SHA256SUMS'))) return readBuildRecord(name)
  const [, image, channel] = /^([a-z][a-z0-9-]*):(promoted|candidate)$/.exec(name) ?? []
  const wanted = image !== undefined && channel !== undefined ? { image, version: channel } : requireTag(name)
  const github = connectRepository(env, repository, context.progress())
  const all = await github.releases.list()
  const release = chooseRelease(all, wanted.image, wanted.version, github.repository)
  const finished = await readReleaseRecord(github.releases, release, interruption)
  if (finished) return finished
  throw new SeederError(`${release.tag} of ${github.repository} has no manifest`, {
    fix: 'Seeder did not publish it: compare another release',
  })
}

/** The changelogs of changed packages whose files are in this machine's package store. */
async function readChangelogs(
  { changed }: Difference,
  { provenance }: BuildRecord,
  cache: string,
): Promise<PackageChanges[]> {
  const store = new Store(join(cache, 'store'), cache)
  const dependencies = provenance?.predicate.buildDefinition.resolvedDependencies ?? []
  const found: PackageChanges[] = []
  for (const { name, before, after } of changed) {
    const digest = dependencies.find((dependency) => dependency.name === `package/${name}/${after}`)?.digest
    if (!digest || !('sha256' in digest) || !existsSync(store.path(digest.sha256))) continue
    const changes = await changesSince(name, store.path(digest.sha256), before)
    if (changes) found.push(changes)
  }
  return found
}

function markdown(result: DiffResult): string {
  const changelogs = result.changelogs.map(({ name, text }) =>
    folded(`Changelog of ${plain(name)}`, `\`\`\`text\n${text.replaceAll('```', '')}\n\`\`\``),
  )
  return [
    describeDifference(result, 'before'),
    `### Known vulnerabilities\n\n${describeKnown(result.vulnerabilities, 'older')}`,
    ...changelogs,
  ].join('\n\n')
}
