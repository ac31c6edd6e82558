import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Release } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { SIGNATURE_FILE, SUMS_FILE } from '../format/sums.ts'
import { verifySums } from './signature.ts'

/** Who may have signed a release. Without a file a signature is not looked at. */
export interface SignatureCheck {
  readonly allowedSigners: string | undefined
  readonly allowUnsigned: boolean
}

/**
 * Checks the signature of a release's SHA256SUMS; who made it, where that was looked at.
 * Throws SeederError when it is not signed and has to be, or by nobody who may.
 */
export async function verifySigned(
  release: Release,
  sums: Buffer,
  signature: Buffer | undefined,
  { allowedSigners, allowUnsigned }: SignatureCheck,
): Promise<string | undefined> {
  if (signature === undefined) {
    if (allowUnsigned) return undefined
    throw new SeederError(`${release.tag} is not signed`, {
      fix: 'raise the revision, and publish that with a key; or allow this one with --allow-unsigned',
    })
  }
  if (allowedSigners === undefined) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'seeder-verify-'))
  try {
    await writeFile(join(folder, SUMS_FILE), sums)
    await writeFile(join(folder, SIGNATURE_FILE), signature)
    return await verifySums(folder, allowedSigners)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
