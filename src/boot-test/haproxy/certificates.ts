import { Authority, type KeyPair, type Subject } from '../certificates.ts'

/** What stands behind the API servers of a proof. */
export interface ClusterCertificates {
  readonly ca: string
  /** Signed by the cluster's CA for the right name. */
  readonly good: KeyPair
  /** Signed by the cluster's CA for another name. */
  readonly wrongName: KeyPair
  /** The right name, signed by another CA. */
  readonly otherCa: KeyPair
}

/**
 * Makes the certificates of a proof in a folder of its own.
 * @param dnsName the name the load balancer asks for
 * @throws SeederError without openssl 3
 */
export async function makeCertificates(folder: string, dnsName: string): Promise<ClusterCertificates> {
  const cluster = await Authority.make('kubernetes-ca', folder)
  const other = await Authority.make('other-ca', folder)
  const server = (name: string): Subject => ({ commonName: name, dnsNames: [name], usages: ['serverAuth'] })
  return {
    ca: cluster.cert,
    good: await cluster.issue('good', server(dnsName)),
    wrongName: await cluster.issue('wrong-name', server(`not-${dnsName}`)),
    otherCa: await other.issue('wrong-ca', server(dnsName)),
  }
}
