import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'
import type { Image } from './definition.ts'

/** One configured index of the runner's apt, as `apt-get indextargets` prints it. Unread indexes have no origin. */
export interface AptTarget {
  readonly uri: string
  readonly suite: string
  readonly component: string
  readonly origin: string
  readonly label: string
}

/** Where an archive's files are: first `mirror`, then `snapshot`. */
export type Mirrors = ReadonlyMap<string, { mirror: string; snapshot?: string }>

/** The environment variable that names the mirror of an archive: debian-security → SEEDER_MIRROR_DEBIAN_SECURITY. */
export function mirrorVariable(archive: string): string {
  return `SEEDER_MIRROR_${archive.toUpperCase().replaceAll('-', '_')}`
}

/** The variable that names a snapshot of an archive, tried for files that have left the mirror. */
export function snapshotVariable(archive: string): string {
  return `SEEDER_SNAPSHOT_${archive.toUpperCase().replaceAll('-', '_')}`
}

/**
 * The URL of the runner's own mirror of `archive` ("debian", "debian-security"), with a slash at its end.
 * A target counts when the archive says so itself (Origin and Label), or, where apt has not read it yet, when its
 * URL ends in the archive's name and its component is main: third parties also publish suites named like Debian's.
 */
export function mirrorFromApt(archive: string, targets: readonly AptTarget[]): string | undefined {
  const named = targets.filter((target) => target.origin !== '')
  const byOrigin = named.find(
    (target) =>
      target.origin.toLowerCase() === archive.split('-')[0] && target.label.toLowerCase() === archive,
  )
  const byPath = targets.find(
    (target) =>
      target.origin === '' && target.component === 'main' && trimSlashes(target.uri).endsWith(`/${archive}`),
  )
  const found = byOrigin ?? byPath
  return found && `${trimSlashes(found.uri)}/`
}

/**
 * Where to fetch from, per archive: `mirror` first, then `snapshot` where one is set. Mirrors are taken from
 * SEEDER_MIRROR_*, from `defaults` (archive → URL), or from the runner's own apt sources, snapshots from
 * SEEDER_SNAPSHOT_*. All end in a slash.
 * Throws SeederError naming the variable to set when the mirror of an archive is not known.
 */
export async function findMirrors(
  archives: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  defaults: Readonly<Record<string, string>> = {},
): Promise<Mirrors> {
  const given = (archive: string) => env[mirrorVariable(archive)] || defaults[archive]
  const unset = archives.filter((archive) => !given(archive))
  const targets = unset.length > 0 ? await aptTargets() : []
  const found = new Map<string, { mirror: string; snapshot?: string }>()
  for (const archive of archives) {
    const url = given(archive)
    const mirror = url ? `${trimSlashes(url)}/` : mirrorFromApt(archive, targets)
    if (!mirror) {
      throw new SeederError(`No mirror of ${archive} is known: the apt sources of this machine have none`, {
        fix: `set ${mirrorVariable(archive)} to the URL of a mirror (the folder that holds dists/ and pool/)`,
      })
    }
    const snapshot = env[snapshotVariable(archive)]
    found.set(archive, snapshot ? { mirror, snapshot: `${trimSlashes(snapshot)}/` } : { mirror })
  }
  return found
}

/**
 * The mirrors of everything that an image and its tools come from; a repository's own URL is its mirror by default.
 * Throws as `findMirrors` does.
 */
export async function mirrorsOf(image: Image): Promise<Mirrors> {
  const pockets = [...image.base.pockets, ...image.tools.base.pockets]
  const repositories = Object.fromEntries(image.repositories.map(({ name, url }) => [name, url]))
  const archives = [...pockets.map((pocket) => pocket.archive), ...Object.keys(repositories)]
  return findMirrors([...new Set(archives)], process.env, repositories)
}

async function aptTargets(): Promise<AptTarget[]> {
  const fields = ['REPO_URI', 'RELEASE', 'COMPONENT', 'ORIGIN', 'LABEL']
  const format = fields.map((field) => `$(${field})`).join('\t')
  const { stdout, exitCode } = await execa('apt-get', ['indextargets', '--format', format], { reject: false })
  if (exitCode !== 0) return []
  const targets = stdout.split('\n').map((line) => {
    // apt leaves the variable's name in place where it has no value for it.
    const [uri = '', suite = '', component = '', origin = '', label = ''] = line
      .split('\t')
      .map((cell) => (cell.startsWith('$(') ? '' : cell))
    return { uri, suite, component, origin, label }
  })
  return targets.filter((target) => /^https?:/.test(target.uri))
}

/** A URL without the slashes at its end. */
export function trimSlashes(url: string): string {
  return url.replace(/\/+$/, '')
}
