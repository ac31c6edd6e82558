import { join } from 'node:path'
import { defaultFolder, parts } from './folder.ts'
import { publicKeyHash, readInventory } from './inventory.ts'
import { type Issued, issue } from './issue.ts'
import { makePair } from './openssl.ts'
import { writePair } from './pair.ts'
import { type AuthorityName, authorityExtensions, authorityNames, parseRequest } from './profile.ts'
import { changeSession, type Place, readSession } from './session.ts'
import { defaultDays, type Lifetime, requireAuthority, validityPeriod } from './validity.ts'

/** The operator's CAs, as other parts of Seeder use them. Each call takes its turn with all others. */
export interface Authority {
  /**
   * A member's certificate with its key, for /etc/seeder/tls/etcd.crt and .key. Another call with the same name and
   * address gives the same, so a creation that was cut short may start again.
   * @throws UsageError for a name or address that is none, and when the name has another address
   * @throws SeederError when the CA, or what was issued before, cannot be used
   */
  issueEtcdMember(name: string, address: string): Promise<Issued>
  /** The API servers' certificate for etcd, the same for all control planes. Throws as above. */
  issueApiserverEtcdClient(): Promise<Issued>
  /**
   * A CA's certificate (PEM), for /etc/seeder/trust/NAME.crt, and the hash of its public key, `sha256:…`.
   * @throws SeederError when it is missing or does not count
   */
  certificate(name: AuthorityName): Promise<{ certificate: string; publicKeyHash: string }>
}

/**
 * Opens the operator's PKI.
 * @param named its folder; by default `$SEEDER_PKI` or the one in the user's data
 * @param note hears of permissions that were mended
 * @throws SeederError or UsageError when there is none, or none that this user may use
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
 * Makes the CAs that are missing, each with a key of its own. Those that are there stay as they are.
 * @returns the folder, without links in its path, and all CAs
 * @throws SeederError for a CA that is there and cannot be used: nothing is made then
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
