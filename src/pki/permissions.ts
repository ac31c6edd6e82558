import { chmod, lstat, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SeederError } from '../report/error.ts'

/** A file or folder that is not private as it should be. */
export interface Exposure {
  readonly path: string
  /** What is wrong with it, in words. */
  readonly problem: string
  /** The mode that mends it; undefined when a mode does not. */
  readonly mode?: number
}

/** Makes a folder for its owner alone, whatever the umask is. */
export async function makePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 })
  await chmod(path, 0o700)
}

/**
 * Everything in a folder of keys, and the folder itself, that belongs to somebody else, that others can get at, or that is
 * a link to elsewhere. Certificates may be read by everyone.
 * @param uid who it should belong to
 */
export async function findExposures(path: string, uid: number): Promise<Exposure[]> {
  const found = await lstat(path)
  if (!found.isFile() && !found.isDirectory()) {
    return [{ path, problem: 'is neither a file nor a folder, so its content may be anywhere' }]
  }
  if (found.uid !== uid) return [{ path, problem: `belongs to the user ${found.uid}, not to ${uid}` }]
  const isPublic = found.isFile() && path.endsWith('.crt')
  const exposed = found.mode & (isPublic ? 0o022 : 0o077)
  const own: Exposure[] =
    exposed === 0
      ? []
      : [
          {
            path,
            problem: `${exposed & 0o022 ? 'can be changed' : 'can be read'} by others (mode ${octal(found.mode)})`,
            mode: found.mode & 0o7777 & ~exposed,
          },
        ]
  if (!found.isDirectory()) return own
  const inner = await Promise.all(
    (await readdir(path)).sort().map((name) => findExposures(join(path, name), uid)),
  )
  return [...own, ...inner.flat()]
}

/**
 * Takes away what others may do, with a note for each.
 * @throws SeederError for what a mode does not mend
 */
export async function mend(exposures: readonly Exposure[], note: (text: string) => void): Promise<void> {
  for (const { path, problem, mode } of exposures) {
    if (mode === undefined) {
      throw new SeederError(`${path} ${problem}`, {
        fix: 'run this as the user whose certificates they are; links and files of others do not belong there',
      })
    }
    await chmod(path, mode)
    note(`${path} ${problem.replace('can be', 'could be')}: mended, it is ${octal(mode)} now`)
  }
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}
