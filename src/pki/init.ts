import { join } from 'node:path'
import { parts } from './folder.ts'
import { readInventory } from './inventory.ts'
import { type Terms, validity } from './lifetime.ts'
import { makePair } from './openssl.ts'
import { writePair } from './pair.ts'
import { type AuthorityName, authorityExtensions, authorityNames } from './profile.ts'
import { changeSession, type Place } from './session.ts'
import { requireAuthority } from './validity.ts'

/** A CA after `initialize`. */
export interface InitializedAuthority {
  readonly name: AuthorityName
  readonly outcome: 'made' | 'kept'
  readonly notAfter: Date
  readonly certificateFile: string
}

/**
 * Makes the CAs that are missing, each with a key of its own. Those that are there stay as they are.
 * @returns the folder, without links in its path, and all CAs
 * @throws SeederError for a CA that is there and cannot be used: nothing is made then
 */
export async function initialize(
  place: Place,
  terms: Terms,
): Promise<{ folder: string; authorities: InitializedAuthority[] }> {
  return await changeSession(place, true, async ({ folder, scratch }) => {
    const before = await readInventory(folder)
    for (const name of authorityNames) {
      if (before.authorities[name].exists) requireAuthority(name, before, terms.now)
    }
    for (const name of authorityNames) {
      if (before.authorities[name].exists) continue
      const plan = { commonName: name, curve: 'P-384', extensions: authorityExtensions } as const
      const pair = await makePair({ ...plan, ...validity(terms) }, undefined, scratch)
      await writePair(join(folder, parts.authorities), name, name, pair)
    }
    const after = await readInventory(folder)
    return {
      folder,
      authorities: authorityNames.flatMap((name): InitializedAuthority[] => {
        const { certificate, certificateFile } = after.authorities[name]
        if (certificate === undefined) return []
        const outcome = before.authorities[name].exists ? 'kept' : 'made'
        return [{ name, outcome, notAfter: certificate.validToDate, certificateFile }]
      }),
    }
  })
}
