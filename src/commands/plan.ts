import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Command } from 'commander'
import {
  type AffectedImage,
  affectedImages,
  type ChangedPath,
  type Changes,
  type ImageSources,
  matrixOf,
} from '../image/affected.ts'
import { imageNames, loadImage } from '../image/definition.ts'
import { gitChanges } from '../image/git.ts'
import { digestOfLockText, readLock } from '../image/lock.ts'
import { formatTag, type Tag } from '../release/format/tag.ts'
import { SeederError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatTable } from '../report/table.ts'
import type { Context } from './context.ts'
import { examples } from './options.ts'

/** The requested images: those that changes affect, one by name, one by a release's tag, or all. */
export type PlanRequest =
  | { readonly kind: 'changes'; readonly changes: Changes }
  | { readonly kind: 'image'; readonly image: string }
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'all' }

/** The images that have to be built. */
export interface Plan {
  readonly images: readonly AffectedImage[]
  /** Affected images that cannot be built, because they have no lock. */
  readonly unlocked: readonly string[]
}

/**
 * Finds the images that have to be built.
 * @throws UsageError when an image is unknown or a definition is wrong, SeederError when a tag names another version than
 * the lock
 */
export async function planCommand(request: PlanRequest, context: Context): Promise<Plan> {
  const project = context.project()
  if (request.kind === 'image') {
    return { images: [{ image: (await loadImage(project, request.image)).name, paths: [] }], unlocked: [] }
  }
  if (request.kind === 'tag') return planTag(request.tag, project)
  const sources = await sourcesOf(project)
  const paths = request.kind === 'all' ? undefined : await request.changes.paths()
  const affected =
    request.kind === 'all' || paths === undefined
      ? sources.map(({ name }) => ({ image: name, paths: [] }))
      : affectedImages(sources, await compareLocks(paths, request.changes, sources, project))
  const locked = new Set(sources.filter(({ lock }) => lock !== undefined).map(({ name }) => name))
  return {
    images: affected.filter(({ image }) => locked.has(image)),
    unlocked: affected.map(({ image }) => image).filter((image) => !locked.has(image)),
  }
}

/** Adds `plan`. */
export function registerPlanCommand(program: Command, context: () => Context): void {
  program
    .command('plan')
    .description('List the images that the changes of a branch affect.')
    .requiredOption('--since <commit>', 'compare with this branch or commit, for example main')
    .option('--json', 'print the matrix of a workflow job')
    .addHelpText('after', examples('seeder plan --since main'))
    .action(async ({ since, json }: { since: string; json?: boolean }) => {
      const own = context()
      const plan = await planCommand({ kind: 'changes', changes: gitChanges(own.project(), since) }, own)
      if (json) print(matrixOf(plan.images.map(({ image }) => image)), { indent: 0 })
      else print(describePlan(plan))
    })
}

/** The plan as a table. */
export function describePlan({ images, unlocked }: Plan): string {
  const some = (paths: readonly string[]) =>
    paths.length > 3 ? `${paths.slice(0, 3).join(', ')} and ${paths.length - 3} more` : paths.join(', ')
  const rows = [
    ...images.map(({ image, paths }) => [image, 'build', some(paths)]),
    ...unlocked.map((image) => [image, 'has no lock', `run: scripts/seeder lock ${image}`]),
  ]
  return rows.length === 0 ? 'no image is affected' : formatTable(['image', 'what', 'because of'], rows)
}

async function planTag(tag: Tag, project: string): Promise<Plan> {
  const lock = await readLock(await loadImage(project, tag.image))
  if (lock.version !== tag.version) {
    throw new SeederError(
      `the tag ${formatTag(tag)} names another version than the lock, ${tag.image} ${lock.version}`,
      {
        fix: `tag the commit as ${tag.image}-${lock.version}, or lock the version that the tag names and tag that commit`,
      },
    )
  }
  return { images: [{ image: tag.image, paths: [] }], unlocked: [] }
}

async function sourcesOf(project: string): Promise<ImageSources[]> {
  const images = await Promise.all((await imageNames(project)).map((name) => loadImage(project, name)))
  return Promise.all(
    images.map(async (image) => ({
      name: image.name,
      bases: [image.base.name, image.tools.base.name],
      lock: (await readIfExists(image.lockFile)) === undefined ? undefined : basename(image.lockFile),
    })),
  )
}

/** Marks locks whose format changed but not their content. */
function compareLocks(
  paths: readonly string[],
  changes: Changes,
  sources: readonly ImageSources[],
  project: string,
): Promise<ChangedPath[]> {
  const locks = new Set(sources.map(({ name, lock }) => `images/${name}/${lock}`))
  const digest = (text: string | undefined) => (text === undefined ? undefined : digestOfLockText(text))
  return Promise.all(
    paths.map(async (path) => {
      if (!locks.has(path)) return { path }
      const [now, before] = [await readIfExists(join(project, path)), await changes.before(path)]
      return { path, sameLock: digest(now) !== undefined && digest(now) === digest(before) }
    }),
  )
}

function readIfExists(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
}
