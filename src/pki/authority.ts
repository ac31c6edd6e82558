import { join } from 'node:path'
import { defaultFolder, parts } from './folder.ts'
import { publicKeyHash, readInventory } from './inventory.ts'
import { type Issued, issue } from './issue.ts'
import { makePair } from './openssl.ts'
import { writePair } from './pair.ts'
import { type AuthorityName, authorityExtensions, authorityNames, parseRequest } from './profile.ts'
import { changeSession, type Place, readSession } from './session.ts'
import { defaultDays, type Lifetime, requireAuthority, validityPeriod } from './validity.ts'

/** The operator's CAs, as other parts of Seeder use them. Calls run one after the other, across processes. */
export interface Authority {
  /**
   * A member's certificate with its key, for /etc/seeder/tls/etcd.crt and .key. Another call with the same name and
   * address returns the same, so that a creation that was interrupted may start again.
   * @throws UsageError for an invalid name or address, and when the name has another address
   * @throws SeederError when the CA, or the certificate that was issued before, cannot be used
   */
  issueEtcdMember(name: string, address: string): Promise<Issued>
  /** The API servers' certificate for etcd, the same for all control planes. Throws like `issueEtcdMember`. */
  issueApiserverEtcdClient(): Promise<Issued>
  /**
   * A CA's certificate (PEM), for /etc/seeder/trust/NAME.crt, and the hash of its public key, `sha256:…`.
   * @throws SeederError when it is missing or not valid
   */
  certificate(name: AuthorityName): Promise<{ certificate: string; publicKeyHash: string }>
}

/**
 * Opens the operator's PKI.
 * @param named its folder; by default `$SEEDER_PKI` or the one in the user's data
 * @param note gets a line for each permission that was fixed
 * @throws SeederError or UsageError when there is no PKI, or this user may not use it
 */
export async function openAuthority(
  named?: string,
  note: (text: string) => void = () => {},
): Promise<Authority> {
  const place: Place = { folder: defaultFolder(named), note }
  const lifetime = () => ({ now: new Date(), days: defaultDays.leaf })
  const read = () => readSession(place, ({ folder }) => readInventory(folder))
  await read()
  return {
    issueEtcdMember: async (name, address) =>
      await issue(place, parseRequest({ kind: 'etcd-member', name, address }), lifetime()),
    issueApiserverEtcdClient: async () =>
      await issue(place, parseRequest({ kind: 'apiserver-etcd-client' }), lifetime()),
    certificate: async (name) => {
      const found = requireAuthority(name, await read(), new Date())
      return { certificate: found.toString(), publicKeyHash: publicKeyHash(found) }
    },
  }
}

/** A CA after `initialize`. */
export interface InitializedAuthority {
  readonly name: AuthorityName
  readonly outcome: 'made' | 'kept'
  readonly notAfter: Date
  readonly certificateFile: string
}

/**
 * Makes the missing CAs, each with its own key. Existing ones stay as they are.
 * @returns the folder, without links in its path, and all CAs
 * @throws SeederError for an existing CA that cannot be used; no CA is made then
 */
export async function initialize(
  place: Place,
  lifetime: Lifetime,
): Promise<{ folder: string; authorities: InitializedAuthority[] }> {
  return await changeSession(place, true, async ({ folder, scratch }) => {
    const before = await readInventory(folder)
    for (const name of authorityNames) {
      if (before.authorities[name].exists) requireAuthority(name, before, lifetime.now)
    }
    for (const name of authorityNames) {
      if (before.authorities[name].exists) continue
      const plan = { commonName: name, curve: 'P-384', extensions: authorityExtensions } as const
      const pair = await makePair({ ...plan, ...validityPeriod(lifetime) }, undefined, scratch)
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
