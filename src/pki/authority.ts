import { defaultFolder } from './folder.ts'
import { publicKeyHash, readInventory } from './inventory.ts'
import { type Issued, issue } from './issue.ts'
import { defaultDays } from './lifetime.ts'
import { type AuthorityName, parseRequest } from './profile.ts'
import { type Place, readSession } from './session.ts'
import { requireAuthority } from './validity.ts'

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
  const terms = () => ({ now: new Date(), days: defaultDays.leaf })
  const read = () => readSession(place, ({ folder }) => readInventory(folder))
  await read()
  return {
    issueEtcdMember: async (name, address) =>
      await issue(place, parseRequest({ kind: 'etcd-member', name, address }), terms()),
    issueApiserverEtcdClient: async () =>
      await issue(place, parseRequest({ kind: 'apiserver-etcd-client' }), terms()),
    certificate: async (name) => {
      const found = requireAuthority(name, await read(), new Date())
      return { certificate: found.toString(), publicKeyHash: publicKeyHash(found) }
    },
  }
}
