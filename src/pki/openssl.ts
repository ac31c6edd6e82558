import { generateKeyPair, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { execa } from '../process/child-process.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'

/** A certificate and its private key (PEM). */
export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

/** The content of a certificate. */
export interface CertificatePlan {
  readonly commonName: string
  readonly curve: 'P-256' | 'P-384'
  /** In the syntax of openssl's configuration. */
  readonly extensions: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
}

/** The files of the signing CA, relative to the scratch folder. */
export interface Signer {
  readonly certificate: string
  readonly key: string
}

const KEY_FILE = 'new.key'
const CONFIG_FILE = 'openssl.cnf'

/**
 * The configuration for `openssl ca`, which takes a beginning and an end in every version 3; `openssl x509` does not.
 */
export function opensslConfig(plan: CertificatePlan): string {
  return [
    '[req]',
    'prompt=no',
    'distinguished_name=subject',
    '[subject]',
    `CN=${plan.commonName}`,
    '[ca]',
    'default_ca=authority',
    '[authority]',
    'database=index',
    'serial=serial',
    'new_certs_dir=.',
    // The CAs' keys have 384 bits.
    'default_md=sha384',
    'policy=policy',
    '[policy]',
    'commonName=supplied',
    '[extensions]',
    ...plan.extensions,
    '',
  ].join('\n')
}

/** `openssl` arguments that sign the request on standard input; without a signer, with its own key. */
export function signArguments(
  { notBefore, notAfter }: CertificatePlan,
  signer: Signer | undefined,
): string[] {
  return [
    'ca',
    '-config',
    CONFIG_FILE,
    '-batch',
    '-notext',
    '-extensions',
    'extensions',
    '-startdate',
    opensslTime(notBefore),
    '-enddate',
    opensslTime(notAfter),
    ...(signer ? ['-cert', signer.certificate, '-keyfile', signer.key] : ['-selfsign', '-keyfile', KEY_FILE]),
    '-in',
    '-',
  ]
}

/** `20261124150000Z`: whole seconds. */
function opensslTime(date: Date): string {
  return `${date.toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')}Z`
}

/**
 * Makes a new key and a certificate for it, with a serial number of 128 random bits.
 * @param signer the CA; without it the certificate is signed with its own key
 * @param scratch an empty folder that nobody else can read
 * @throws SeederError when openssl is missing, too old, or makes another certificate
 */
export async function makePair(
  plan: CertificatePlan,
  signer: Signer | undefined,
  scratch: string,
): Promise<KeyPair> {
  interruption.throwIfAborted()
  const { publicKey, privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: plan.curve })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const serial = randomBytes(16).toString('hex').toUpperCase()
  // The mode is set when the file is created, so that nobody can read the key meanwhile.
  const files = { [KEY_FILE]: key, [CONFIG_FILE]: opensslConfig(plan), index: '', serial: `${serial}\n` }
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(scratch, name), text, { mode: 0o600 })
  }
  const request = await openssl(['req', '-new', '-config', CONFIG_FILE, '-key', KEY_FILE], scratch)
  const made = await openssl(signArguments(plan, signer), scratch, request)
  return { certificate: readCertificate(made, plan, publicKey, serial), key }
}

/** Reads the certificate that openssl made, as PEM. @throws SeederError when it is not the planned one */
function readCertificate(text: string, plan: CertificatePlan, publicKey: KeyObject, serial: string): string {
  let made: X509Certificate
  try {
    made = new X509Certificate(text)
  } catch (cause) {
    throw unexpected('no certificate', cause)
  }
  const seconds = (date: Date) => Math.floor(date.getTime() / 1000)
  if (!made.publicKey.equals(publicKey)) throw unexpected('a certificate for another key')
  // A leading zero is not part of the number.
  if (BigInt(`0x${made.serialNumber}`) !== BigInt(`0x${serial}`)) throw unexpected('another serial number')
  if (made.subject !== `CN=${plan.commonName}`) throw unexpected(`the subject ${made.subject}`)
  if (
    seconds(made.validFromDate) !== seconds(plan.notBefore) ||
    seconds(made.validToDate) !== seconds(plan.notAfter)
  ) {
    throw unexpected(`a certificate from ${made.validFrom} to ${made.validTo}`)
  }
  return made.toString()
}

function unexpected(found: string, cause?: unknown): SeederError {
  return new SeederError(`made a certificate with openssl; it made ${found}`, { fix: INSTALL_FIX, cause })
}

const INSTALL_FIX = 'run scripts/setup.sh, which installs openssl 3, and see which one is the first on PATH'

/** @throws SeederError when there is no openssl, or one that is older than 3.0 */
export async function requireOpenssl(): Promise<void> {
  const version = await execa('openssl', ['version'], { reject: false, stdin: 'ignore' })
  if (version.exitCode === 0 && /^OpenSSL ([3-9]|\d\d)\./.test(version.stdout)) return
  const found = version.exitCode === 0 ? version.stdout.trim() : (version.stderr?.trim() ?? '')
  throw new SeederError(
    `openssl 3 signs the certificates, and cannot be used here: ${found.split('\n').at(-1) || version.shortMessage}`,
    { fix: INSTALL_FIX },
  )
}

/** Runs openssl in the scratch folder, with the configuration there and no other; returns its output. */
async function openssl(argv: readonly string[], scratch: string, input = ''): Promise<string> {
  const result = await execa('openssl', argv, {
    cwd: scratch,
    env: { OPENSSL_CONF: CONFIG_FILE, LC_ALL: 'C' },
    input,
    reject: false,
  })
  if (result.exitCode === 0) return result.stdout
  const output = result.stderr.trim()
  throw new SeederError(`openssl ${argv[0]} failed: ${complaint(output) || result.shortMessage}`, {
    fix: 'run again with --verbose for its whole output',
    cause: new Error(output),
  })
}

/** The reason in openssl's output: the last part of its first error line, or its last line. */
function complaint(output: string): string {
  const lines = output.split('\n')
  const error = lines.find((line) => /^[0-9A-F]+:error:/.test(line))
  return (error?.split(':').slice(3).join(':') ?? lines.at(-1) ?? '').trim()
}
