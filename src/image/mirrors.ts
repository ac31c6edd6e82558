import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'
import type { Image } from './definition.ts'

/** An index in the machine's apt configuration, from `apt-get indextargets`. Indexes that apt has not read have no origin. */
export interface AptTarget {
  readonly uri: string
  readonly suite: string
  readonly component: string
  readonly origin: string
  readonly label: string
}

/** The URLs of each archive: `mirror`, and `snapshot` for files that have left the mirror. All end in a slash. */
export type Mirrors = ReadonlyMap<string, { mirror: string; snapshot?: string }>

/** The environment variable that names the mirror of an archive: debian-security → SEEDER_MIRROR_DEBIAN_SECURITY. */
export function mirrorVariable(archive: string): string {
  return `SEEDER_MIRROR_${archive.toUpperCase().replaceAll('-', '_')}`
}

/** The environment variable that names the snapshot of an archive. */
export function snapshotVariable(archive: string): string {
  return `SEEDER_SNAPSHOT_${archive.toUpperCase().replaceAll('-', '_')}`
}

/**
 * The URL of the machine's mirror of `archive` ("debian", "debian-security"), with a slash at its end. A target matches by its
 * Origin and Label, or, where apt has not read it yet, when its URL ends in the archive's name and its component is main: third
 * parties also publish suites with Debian's names.
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
 * The mirrors of archives: from SEEDER_MIRROR_*, from `defaults` (archive → URL), or from the machine's apt sources; snapshots
 * from SEEDER_SNAPSHOT_*.
 * @throws SeederError when the mirror of an archive is unknown
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
 * The mirrors of all archives of an image and its tools; the default of a repository is its URL. Throws as `findMirrors`.
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
    // apt prints the name of the variable when it has no value.
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
