import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { connect, type GitHub } from '../github/client.ts'
import { gitHubSettings } from '../github/settings.ts'
import { interruption } from '../process/interruption.ts'
import { UsageError } from '../report/error.ts'
import { createProgress, type Progress } from '../report/progress.ts'

/** The environment of a command. */
export interface Context {
  /**
   * The folder with `platform.yaml` and `images/`.
   * @throws UsageError when there is none
   */
  project(): string
  /** Seeder's cache folder: `$XDG_CACHE_HOME/seeder`, by default `~/.cache/seeder`. */
  readonly cache: string
  /** The checkout that this program belongs to. */
  readonly checkout: string
  /** Seeder's own version. */
  readonly version: string
  /** A progress reporter on standard error; silent with --quiet. */
  progress(): Progress
}

/**
 * The project folder: `named`, otherwise the nearest folder at or above `from` that has `platform.yaml` and `images/`,
 * otherwise the checkout that this program belongs to.
 */
export function findProject(named: string | undefined, from: string, ownCheckout: string): string {
  if (named !== undefined) {
    if (!isProject(named)) {
      throw new UsageError(`--project ${named} has no platform.yaml and images/`, {
        fix: 'name the folder of a Seeder checkout',
      })
    }
    return resolve(named)
  }
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (isProject(folder)) return folder
    if (dirname(folder) === folder) break
  }
  if (isProject(ownCheckout)) return ownCheckout
  throw new UsageError(
    `No Seeder project here: neither ${from} nor a folder above it has platform.yaml and images/`,
    { fix: 'run it in a checkout, or name one with --project' },
  )
}

function isProject(folder: string): boolean {
  return existsSync(join(folder, 'platform.yaml')) && existsSync(join(folder, 'images'))
}

/** The checkout of an entry, which is in src or, bundled, in dist/NAME. */
export function checkoutOf(entryFolder: string): string {
  return resolve(entryFolder, ...(basename(entryFolder) === 'src' ? ['..'] : ['..', '..']))
}

/** The version of the checkout that this program belongs to. */
export function versionOf(ownCheckout: string): string {
  return JSON.parse(readFileSync(join(ownCheckout, 'package.json'), 'utf8')).version
}

/** The context for the given global options. */
export function createContext(
  options: { project?: string; quiet?: boolean },
  ownCheckout: string,
  env: NodeJS.ProcessEnv = process.env,
): Context {
  return {
    project: () => findProject(options.project, process.cwd(), ownCheckout),
    cache: join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'seeder'),
    checkout: ownCheckout,
    get version() {
      return versionOf(ownCheckout)
    },
    progress: () => createProgress(process.stderr, env, options.quiet),
  }
}
/**
 * The client for `repository` (`owner/name`), by default the one in the environment. It notes in `progress` when GitHub
 * makes it wait.
 * @throws UsageError when there is no token or no repository
 */
export function connectRepository(
  env: NodeJS.ProcessEnv,
  repository: string | undefined,
  progress: Pick<Progress, 'note'>,
): GitHub {
  const settings = gitHubSettings(env, { repository })
  return connect({ ...settings, signal: interruption, note: (text) => progress.note(text) })
}
