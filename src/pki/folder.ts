import { existsSync } from 'node:fs'
import { chmod, lstat, mkdir, readdir, realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { SeederError, UsageError } from '../report/error.ts'

/** What is in the folder of a PKI. */
export const parts = {
  /** The CAs, `etcd-ca/etcd-ca.crt` and `.key`. */
  authorities: 'authorities',
  /** What they have signed, `etcd1/etcd.crt` and `.key`. */
  issued: 'issued',
  lock: 'lock',
  /** Where openssl works; it is there only while somebody works. */
  scratch: 'scratch',
} as const

/** The folder that is meant: the one named, else `$SEEDER_PKI`, else `seeder/pki` where the user's data is. */
export function defaultFolder(named: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  const chosen = named ?? env.SEEDER_PKI
  if (chosen) return resolve(chosen)
  // The standard says that a relative path there does not count.
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
 * Finds the folder of a PKI, and makes it when `create` says so.
 * @returns its path without links
 * @throws UsageError for a folder in a checkout, whoever owns that, and for one that is something else
 * @throws SeederError for a folder of somebody else, and when there is none
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
    // Another run may be making it at the same moment.
    await makePrivateFolder(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
  return folder
}

/** Git itself does not say so: it does not look into a checkout that belongs to another user. */
function refuseCheckout(folder: string): void {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) {
      throw new UsageError(
        `${folder} is in a git checkout, ${at}: keys must not be where they can be committed`,
        {
          fix: 'give a folder outside with --dir or SEEDER_PKI; without them it is ~/.local/share/seeder/pki',
        },
      )
    }
    if (dirname(at) === at) return
  }
}

/** What is in the folder already would get other permissions. */
async function refuseOthers(folder: string): Promise<void> {
  const own: readonly string[] = Object.values(parts)
  const others = (await readdir(folder)).filter((name) => !own.includes(name))
  if (others.length === 0) return
  throw new UsageError(`${folder} holds other files: ${others.slice(0, 5).join(', ')}`, {
    fix: 'give a new or empty folder',
  })
}

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
