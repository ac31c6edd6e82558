import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { UsageError } from '../report/error.ts'

/** What a node's certificate has to be valid for. */
export interface CertificateUse {
  /** Empty for a client, which nobody connects to by name. */
  readonly names: readonly string[]
  readonly addresses: readonly string[]
  readonly usages: readonly ('serverAuth' | 'clientAuth')[]
}

const usageIds = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const

const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g

/**
 * Reads CA certificates for a node: PEM, nothing else, at least one of them valid now.
 * @throws UsageError when the file has anything else
 */
export async function readAuthorities(file: string): Promise<string> {
  const text = await readPem(file)
  if (text.includes('PRIVATE KEY-----')) {
    throw refuse(file, 'has a private key in it; it must be the CA’s certificate alone')
  }
  const blocks = text.match(CERTIFICATE_BLOCK) ?? []
  const certificates = blocks.map((block) => parseCertificate(file, block))
  if (certificates.length === 0) throw refuse(file, 'has no certificate (PEM) in it')
  if (certificates.some(({ ca }) => !ca)) throw refuse(file, 'has a certificate that is not a CA’s')
  if (certificates.every((certificate) => validityProblem(certificate) !== undefined)) {
    throw refuse(file, validityProblem(certificates[0]) ?? '')
  }
  return joinBlocks(blocks)
}

/**
 * Reads a certificate, its intermediate CAs and its key, and checks them as first boot does.
 * @param authorities PEM of the CAs, one of which must have signed it
 * @throws UsageError when one of the files does not pass
 */
export async function readPair(
  certificateFile: string,
  keyFile: string,
  authorities: string | undefined,
  use: CertificateUse,
): Promise<{ certificate: string; key: string }> {
  const text = await readPem(certificateFile)
  const blocks = text.match(CERTIFICATE_BLOCK) ?? []
  const [first] = blocks
  if (first === undefined) throw refuse(certificateFile, 'has no certificate (PEM) in it')
  const certificate = parseCertificate(certificateFile, first)
  const time = validityProblem(certificate)
  if (time !== undefined) throw refuse(certificateFile, time)
  const held = certificate.subjectAltName ?? 'no name or address'
  for (const name of use.names) {
    if (certificate.checkHost(name, { subject: 'never' }) === undefined) {
      throw refuse(certificateFile, `is not for the name ${name}; it is for ${held}`)
    }
  }
  for (const address of use.addresses) {
    if (certificate.checkIP(address) === undefined) {
      throw refuse(certificateFile, `is not for the address ${address}; it is for ${held}`)
    }
  }
  const lacking = use.usages.filter((usage) => !certificate.keyUsage?.includes(usageIds[usage]))
  if (lacking.length > 0)
    throw refuse(certificateFile, `has no ${lacking.join(' and ')} in its extended key usage`)
  if (
    authorities !== undefined &&
    !isSigned(certificate, [...blocks.slice(1), ...(authorities.match(CERTIFICATE_BLOCK) ?? [])])
  ) {
    throw refuse(
      certificateFile,
      `is not signed by the CA that goes with it; it is by ${certificate.issuer.replaceAll('\n', ', ')}`,
    )
  }
  return { certificate: joinBlocks(blocks), key: await readKey(keyFile, certificate, certificateFile) }
}

async function readKey(file: string, certificate: X509Certificate, certificateFile: string): Promise<string> {
  const text = await readPem(file)
  const [block] =
    text.match(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----\n?/) ?? []
  try {
    const key = createPrivateKey(block ?? '')
    if (certificate.checkPrivateKey(key)) return key.export({ type: 'pkcs8', format: 'pem' }).toString()
  } catch {
    throw refuse(file, 'has no private key (PEM, without a passphrase) in it')
  }
  throw refuse(file, `is not the key of ${certificateFile}`)
}

function isSigned(certificate: X509Certificate, signers: readonly string[]): boolean {
  return signers.some((block) => {
    const signer = new X509Certificate(block)
    return certificate.checkIssued(signer) && certificate.verify(signer.publicKey)
  })
}

async function readPem(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new UsageError(`${file} cannot be read`, { fix: 'see whether the file is there', cause })
  })
}

function parseCertificate(file: string, block: string): X509Certificate {
  try {
    return new X509Certificate(block)
  } catch (cause) {
    throw new UsageError(`${file} has a certificate that cannot be read`, {
      fix: 'export it again, as PEM',
      cause,
    })
  }
}

function validityProblem(certificate: X509Certificate | undefined): string | undefined {
  if (!certificate) return undefined
  const now = new Date()
  if (certificate.validToDate < now) return `expired on ${certificate.validTo}`
  return certificate.validFromDate > now ? `is not valid before ${certificate.validFrom}` : undefined
}

function joinBlocks(blocks: readonly string[]): string {
  return blocks.map((block) => `${block.trimEnd()}\n`).join('')
}

function refuse(file: string, reason: string): UsageError {
  return new UsageError(`${file} ${reason}`, { fix: 'give the right file' })
}
