import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** A certificate and its key (PEM). */
export interface TestKeyPair {
  readonly cert: string
  readonly key: string
}

/** The subject and the usages of a certificate. */
export interface CertificateRequest {
  readonly commonName: string
  readonly organization?: string
  readonly dnsNames?: readonly string[]
  readonly addresses?: readonly string[]
  readonly usages: readonly ('serverAuth' | 'clientAuth')[]
}

/** A certificate for three days with a new key, `name`.crt and .key in a folder. */
function newCertificate(name: string, folder: string): string[] {
  const options = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3'.split(' ')
  return [...options, '-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)]
}

function addExtension(value: string): string[] {
  return ['-addext', value]
}

/** `openssl` arguments for a certificate authority that signs for a few days. */
export function authorityArguments(name: string, folder: string): string[] {
  return [
    ...newCertificate(name, folder),
    ...addExtension('keyUsage=critical,keyCertSign,cRLSign'),
    '-subj',
    `/CN=${name}`,
  ]
}

/** `openssl` arguments for a certificate and its key, signed by an authority in the same folder. */
export function leafArguments(
  name: string,
  subject: CertificateRequest,
  authority: string,
  folder: string,
): string[] {
  const { commonName, organization, dnsNames = [], addresses = [], usages } = subject
  const names = [...dnsNames.map((dns) => `DNS:${dns}`), ...addresses.map((address) => `IP:${address}`)]
  return [
    ...newCertificate(name, folder),
    '-subj',
    `${organization === undefined ? '' : `/O=${organization}`}/CN=${commonName}`,
    ...addExtension(`extendedKeyUsage=${usages.join(',')}`),
    ...(names.length === 0 ? [] : addExtension(`subjectAltName=${names.join(',')}`)),
    ...addExtension('basicConstraints=critical,CA:FALSE'),
    '-CA',
    join(folder, `${authority}.crt`),
    '-CAkey',
    join(folder, `${authority}.key`),
  ]
}

/** A certificate authority whose files are in a folder. */
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
   * Makes an authority in a folder, which may hold others.
   * @throws SeederError when openssl 3 is missing
   */
  static async make(name: string, folder: string): Promise<TestAuthority> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await openssl(authorityArguments(name, folder))
    return new TestAuthority(name, folder, await readFile(join(folder, `${name}.crt`), 'utf8'))
  }

  /** Its private key (PEM). */
  async readKey(): Promise<string> {
    return readFile(join(this.folder, `${this.name}.key`), 'utf8')
  }

  /**
   * Signs a certificate for a new key.
   * @param name of its files in the authority's folder
   * @throws SeederError when openssl 3 is missing
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
    throw new SeederError('could not make the certificates of a test with openssl', {
      fix: 'run scripts/setup.sh, which installs openssl 3',
      cause,
    })
  }
}
