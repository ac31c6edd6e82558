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

/** The folder of a PKI while nobody else works in it. */
export interface Session {
  /** Without links in its path. */
  readonly folder: string
  /** What in it is not private; nothing after it has been mended. */
  readonly exposures: readonly Exposure[]
}

/** The same while it is changed. */
export interface ChangeSession extends Session {
  /** A folder that nobody else can read; it goes with the session. */
  readonly scratch: string
}

/** A PKI, wherever it is. */
export interface Place {
  readonly folder: string
  /** Hears of what was mended. */
  note(text: string): void
}

/**
 * Reads a PKI, as it is when nobody changes it. Nothing is mended.
 * @throws SeederError or UsageError when there is none, or none of this user's
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
 * Changes a PKI. What others could read is mended first.
 * @param create make it when there is none
 * @throws SeederError or UsageError when it cannot be: openssl, permissions, somebody else's, a full disk
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

/** Clears away what a killed run has left, and puts back what it has taken away. */
async function removeLeftovers(folder: string): Promise<void> {
  // An openssl whose parent was killed may still write into it for a moment.
  await rm(join(folder, parts.scratch), { recursive: true, force: true, maxRetries: 3 })
  for (const part of [parts.authorities, parts.issued]) {
    if (existsSync(join(folder, part))) await finishPairs(join(folder, part))
  }
}

function ownId(): number {
  return process.geteuid?.() ?? 0
}
