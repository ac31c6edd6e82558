import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { workIn } from '../files/disk-error.ts'
import {
  type Exposure,
  findExposures,
  fixPermissions,
  makePrivateFolder,
  openFolder,
  parts,
} from './folder.ts'
import { withLock } from './lock.ts'
import { requireOpenssl } from './openssl.ts'
import { finishPairs } from './pair.ts'

/** The folder of a PKI while this process holds its lock. */
export interface Session {
  /** Without links in its path. */
  readonly folder: string
  /** Permissions in it that are too open; empty once they were fixed. */
  readonly exposures: readonly Exposure[]
}

/** A session that changes the PKI. */
export interface ChangeSession extends Session {
  /** A folder that nobody else can read, removed at the end of the session. */
  readonly scratch: string
}

/** The folder of a PKI, which may not exist yet. */
export interface Place {
  readonly folder: string
  /** Gets a line for each permission that was fixed. */
  note(text: string): void
}

/**
 * Reads a PKI while no other process changes it. Permissions stay as they are.
 * @throws SeederError or UsageError when there is no PKI, or it belongs to another user
 */
export async function readSession<T>(place: Place, work: (session: Session) => Promise<T>): Promise<T> {
  const uid = ownId()
  const folder = await workIn(place.folder, () => openFolder(place.folder, false, uid))
  return await workIn(folder, () =>
    withLock(join(folder, parts.lock), async () => {
      await removeLeftovers(folder)
      return await work({ folder, exposures: await findExposures(folder, uid) })
    }),
  )
}

/**
 * Changes a PKI, after fixing permissions that are too open.
 * @param create whether to make a PKI that does not exist
 * @throws SeederError or UsageError when openssl, permissions, another owner or a full disk prevent it
 */
export async function changeSession<T>(
  place: Place,
  create: boolean,
  work: (session: ChangeSession) => Promise<T>,
): Promise<T> {
  const uid = ownId()
  await requireOpenssl()
  const folder = await workIn(place.folder, () => openFolder(place.folder, create, uid))
  return await workIn(folder, () =>
    withLock(join(folder, parts.lock), async () => {
      for (const part of [parts.issued, parts.authorities]) {
        if (!existsSync(join(folder, part))) await makePrivateFolder(join(folder, part))
      }
      await removeLeftovers(folder)
      await fixPermissions(await findExposures(folder, uid), place.note)
      const scratch = join(folder, parts.scratch)
      await makePrivateFolder(scratch)
      try {
        return await work({ folder, exposures: [], scratch })
      } finally {
        await rm(scratch, { recursive: true, force: true })
      }
    }),
  )
}

/** Removes what a killed run has left, and restores pairs that it was replacing. */
async function removeLeftovers(folder: string): Promise<void> {
  // An openssl process whose parent was killed may still write there for a moment.
  await rm(join(folder, parts.scratch), { recursive: true, force: true, maxRetries: 3 })
  for (const part of [parts.authorities, parts.issued]) {
    if (existsSync(join(folder, part))) await finishPairs(join(folder, part))
  }
}

function ownId(): number {
  return process.geteuid?.() ?? 0
}
