import { type CertificateRequest, TestAuthority, type TestKeyPair } from '../certificates.ts'

/** What stands behind the API servers of a proof. */
export interface ClusterCertificates {
  readonly ca: string
  /** Signed by the cluster's CA for the right name. */
  readonly good: TestKeyPair
  /** Signed by the cluster's CA for another name. */
  readonly wrongName: TestKeyPair
  /** The right name, signed by another CA. */
  readonly otherCa: TestKeyPair
}

/**
 * Makes the certificates of a proof in a folder of its own.
 * @param dnsName the name the load balancer asks for
 * @throws SeederError without openssl 3
 */
export async function makeCertificates(folder: string, dnsName: string): Promise<ClusterCertificates> {
  const cluster = await TestAuthority.make('kubernetes-ca', folder)
  const other = await TestAuthority.make('other-ca', folder)
  const server = (name: string): CertificateRequest => ({
    commonName: name,
    dnsNames: [name],
    usages: ['serverAuth'],
  })
  return {
    ca: cluster.cert,
    good: await cluster.issue('good', server(dnsName)),
    wrongName: await cluster.issue('wrong-name', server(`not-${dnsName}`)),
    otherCa: await other.issue('wrong-ca', server(dnsName)),
  }
}
