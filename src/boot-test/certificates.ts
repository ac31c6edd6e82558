import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** A certificate and its key (PEM). */
export interface TestKeyPair {
  readonly cert: string
  readonly key: string
}

/** What a certificate is for, and who it is. */
export interface CertificateRequest {
  readonly commonName: string
  readonly organization?: string
  readonly dnsNames?: readonly string[]
  readonly addresses?: readonly string[]
  readonly usages: readonly ('serverAuth' | 'clientAuth')[]
}

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** `openssl` arguments for a certificate authority that signs for a few days. */
export function authorityArguments(name: string, folder: string): string[] {
  return [
    ...['req', '-x509', ...curve, '-days', '3', '-subj', `/CN=${name}`],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ...['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)],
  ]
}

/** `openssl` arguments for a certificate and its key, `name`.crt and .key, signed by an authority in the same folder. */
export function leafArguments(
  name: string,
  subject: CertificateRequest,
  authority: string,
  folder: string,
): string[] {
  const { commonName, organization, dnsNames = [], addresses = [], usages } = subject
  const names = [...dnsNames.map((one) => `DNS:${one}`), ...addresses.map((one) => `IP:${one}`)]
  return [
    ...['req', '-x509', ...curve, '-days', '3'],
    ...['-subj', `${organization === undefined ? '' : `/O=${organization}`}/CN=${commonName}`],
    ...['-addext', `extendedKeyUsage=${usages.join(',')}`],
    ...(names.length === 0 ? [] : ['-addext', `subjectAltName=${names.join(',')}`]),
    ...['-addext', 'basicConstraints=critical,CA:FALSE'],
    ...['-CA', join(folder, `${authority}.crt`), '-CAkey', join(folder, `${authority}.key`)],
    ...['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)],
  ]
}

/** Signs certificates for a proof, in a folder of its own. */
export class TestAuthority {
  readonly name: string
  /** Its own certificate (PEM). */
  readonly cert: string
  private readonly folder: string

  private constructor(name: string, folder: string, cert: string) {
    this.name = name
    this.folder = folder
    this.cert = cert
  }

  /**
   * Makes an authority in a folder, in which others may be.
   * @throws SeederError without openssl 3
   */
  static async make(name: string, folder: string): Promise<TestAuthority> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await openssl(authorityArguments(name, folder))
    return new TestAuthority(name, folder, await readFile(join(folder, `${name}.crt`), 'utf8'))
  }

  /**
   * Signs a certificate for a new key.
   * @param name of its files in the authority's folder
   * @throws SeederError without openssl 3
   */
  async issue(name: string, subject: CertificateRequest): Promise<TestKeyPair> {
    await openssl(leafArguments(name, subject, this.name, this.folder))
    return {
      cert: await readFile(join(this.folder, `${name}.crt`), 'utf8'),
      key: await readFile(join(this.folder, `${name}.key`), 'utf8'),
    }
  }
}

async function openssl(argv: readonly string[]): Promise<void> {
  try {
    await execa('openssl', argv)
  } catch (cause) {
    throw new SeederError('could not make the certificates of a proof with openssl', {
      fix: 'run scripts/setup.sh, which installs openssl 3',
      cause,
    })
  }
}
