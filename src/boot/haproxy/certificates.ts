import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { SeederError } from '../../report/error.ts'

/** A certificate and its key (PEM). */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

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

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
const requestExtension = ['-addext', 'extendedKeyUsage=serverAuth']

/** `openssl` arguments for a certificate authority that signs for a few days. */
export function authorityArguments(name: string, folder: string): string[] {
  return [
    ...['req', '-x509', ...curve, '-days', '3', '-subj', `/CN=${name}`],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ...['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)],
  ]
}

/** `openssl` arguments for a server certificate with one DNS name, signed by an authority in the same folder. */
export function leafArguments(name: string, dnsName: string, authority: string, folder: string): string[] {
  return [
    ...['req', '-x509', ...curve, '-days', '3', '-subj', `/CN=${dnsName}`, ...requestExtension],
    ...['-addext', `subjectAltName=DNS:${dnsName}`, '-addext', 'basicConstraints=critical,CA:FALSE'],
    ...['-CA', join(folder, `${authority}.crt`), '-CAkey', join(folder, `${authority}.key`)],
    ...['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)],
  ]
}

/**
 * Makes the certificates of a proof in a folder of its own.
 * @param dnsName the name the load balancer asks for
 * @throws SeederError without openssl 3
 */
export async function makeCertificates(folder: string, dnsName: string): Promise<ClusterCertificates> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const pair = async (name: string): Promise<KeyPair> => ({
    cert: await readFile(join(folder, `${name}.crt`), 'utf8'),
    key: await readFile(join(folder, `${name}.key`), 'utf8'),
  })
  try {
    await execa('openssl', authorityArguments('kubernetes-ca', folder))
    await execa('openssl', authorityArguments('other-ca', folder))
    await execa('openssl', leafArguments('good', dnsName, 'kubernetes-ca', folder))
    await execa('openssl', leafArguments('wrong-name', `not-${dnsName}`, 'kubernetes-ca', folder))
    await execa('openssl', leafArguments('wrong-ca', dnsName, 'other-ca', folder))
  } catch (cause) {
    throw new SeederError('could not make the certificates of the API servers with openssl', {
      fix: 'run scripts/setup.sh, which installs openssl 3',
      cause,
    })
  }
  return {
    ca: await readFile(join(folder, 'kubernetes-ca.crt'), 'utf8'),
    good: await pair('good'),
    wrongName: await pair('wrong-name'),
    otherCa: await pair('wrong-ca'),
  }
}
