import { existsSync } from 'node:fs'
import { chmod, lstat, mkdir, readdir, realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { SeederError, UsageError } from '../report/error.ts'

/** The parts of a PKI's folder. */
export const parts = {
  /** The CAs, `etcd-ca/etcd-ca.crt` and `.key`. */
  authorities: 'authorities',
  /** The certificates that they have signed, `etcd1/etcd.crt` and `.key`. */
  issued: 'issued',
  lock: 'lock',
  /** Where openssl works; it exists only during a change. */
  scratch: 'scratch',
} as const

/** The folder of the PKI: the one named, else `$SEEDER_PKI`, else `seeder/pki` where the user's data is. */
export function defaultFolder(named: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  const chosen = named ?? env.SEEDER_PKI
  if (chosen) return resolve(chosen)
  // The XDG standard ignores a relative path here.
  const data = env.XDG_DATA_HOME
  return join(data && isAbsolute(data) ? data : join(homedir(), '.local/share'), 'seeder/pki')
}

/** A path without links in it, as far as it exists. */
async function canonical(path: string): Promise<string> {
  if (dirname(path) === path) return path
  return await realpath(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return join(await canonical(dirname(path)), basename(path))
  })
}

/**
 * Finds the folder of a PKI, or makes it with `create`.
 * @returns its path without links
 * @throws UsageError for a folder in a checkout, whoever owns that, and for a folder with other content
 * @throws SeederError for a folder of another user, and when there is no PKI
 */
export async function openFolder(named: string, create: boolean, uid: number): Promise<string> {
  const folder = await canonical(named)
  refuseCheckout(folder)
  const found = await lstat(folder).catch(() => undefined)
  if (found && !found.isDirectory()) {
    throw new UsageError(`${folder} is not a folder`, { fix: 'give a folder of its own with --dir' })
  }
  if (found && found.uid !== uid) {
    throw new SeederError(`${folder} belongs to the user ${found.uid}, and this is ${uid}`, {
      fix: 'run this as the user whose certificates they are, or give another folder with --dir',
    })
  }
  const isPki = existsSync(join(folder, parts.authorities))
  if (!create) {
    if (isPki) return folder
    throw new SeederError(`There are no certificate authorities in ${folder}`, {
      fix: 'make them with: seeder pki init; or name their folder with --dir or SEEDER_PKI',
    })
  }
  if (found && !isPki) await refuseOthers(folder)
  if (!found) {
    await mkdir(dirname(folder), { recursive: true })
    // Another run may make it at the same moment.
    await makePrivateFolder(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
  return folder
}

/** Looks for `.git` itself: git does not look into a checkout of another user. */
function refuseCheckout(folder: string): void {
  for (let parent = folder; ; parent = dirname(parent)) {
    if (existsSync(join(parent, '.git'))) {
      throw new UsageError(
        `${folder} is in a git checkout, ${parent}: keys must not be where they can be committed`,
        {
          fix: 'give a folder outside with --dir or SEEDER_PKI; without them it is ~/.local/share/seeder/pki',
        },
      )
    }
    if (dirname(parent) === parent) return
  }
}

/** Refuses a folder with other files, whose permissions would be changed. */
async function refuseOthers(folder: string): Promise<void> {
  const own: readonly string[] = Object.values(parts)
  const others = (await readdir(folder)).filter((name) => !own.includes(name))
  if (others.length === 0) return
  throw new UsageError(`${folder} holds other files: ${others.slice(0, 5).join(', ')}`, {
    fix: 'give a new or empty folder',
  })
}

/** A file or folder whose permissions are too open. */
export interface Exposure {
  readonly path: string
  /** Continues a sentence that begins with the path. */
  readonly problem: string
  /** The mode that fixes it; undefined when no mode does. */
  readonly mode?: number
}

/** Makes a folder for its owner alone, whatever the umask is. */
export async function makePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 })
  await chmod(path, 0o700)
}

/**
 * Finds what in a folder of keys, the folder included, belongs to another user, is open to others, or is a link.
 * Certificates may be read by everyone.
 * @param uid the owner that it should have
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
 * Takes away the permissions of others, with a note for each.
 * @throws SeederError when a mode does not fix it
 */
export async function fixPermissions(
  exposures: readonly Exposure[],
  note: (text: string) => void,
): Promise<void> {
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

export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}
