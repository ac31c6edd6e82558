import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SeederError } from '../report/error.ts'

/**
 * Reads the CA certificates of an image, `trust/*.crt` in its folder (PEM, one or more per file).
 * @param epoch seconds: the date of the lock, at which they must be valid, so that an old lock can still be built
 * @returns file name → path
 * @throws SeederError when a file has a private key, or a certificate is no CA's or has expired
 */
export async function readTrust(imageFolder: string, epoch: number): Promise<Map<string, string>> {
  const folder = join(imageFolder, 'trust')
  const found = new Map<string, string>()
  if (!existsSync(folder)) return found
  for (const name of (await readdir(folder)).sort()) {
    const file = join(folder, name)
    const text = await readFile(file, 'utf8')
    if (text.includes('PRIVATE KEY')) {
      throw new SeederError(`${file} has a private key in it`, {
        fix: 'remove it from the folder, and replace it if the folder was ever published: an image is a public file',
      })
    }
    if (!name.endsWith('.crt')) continue
    requireCertificates(file, text, epoch * 1000)
    found.set(name, file)
  }
  return found
}

function requireCertificates(file: string, text: string, time: number): void {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) {
    throw new SeederError(`${file} has no certificate in it`, {
      fix: 'put the CA’s certificate there as PEM text',
    })
  }
  for (const block of blocks) {
    const certificate = parse(file, block)
    const name = certificate.subject.replaceAll('\n', ', ')
    if (!certificate.ca) {
      throw new SeederError(`${file}: ${name} is not a CA’s certificate (CA:FALSE)`, {
        fix: 'put the certificate of the CA there, not one that it has issued',
      })
    }
    // A certificate that is newer than the lock is fine.
    if (time > certificate.validToDate.getTime()) {
      throw new SeederError(
        `${file}: ${name} has expired on ${certificate.validToDate.toISOString().slice(0, 10)}; the image’s packages are of ${new Date(time).toISOString().slice(0, 10)}`,
        { fix: 'replace it by the current certificate' },
      )
    }
  }
}

function parse(file: string, block: string): X509Certificate {
  try {
    return new X509Certificate(block)
  } catch (cause) {
    throw new SeederError(`${file} is not a certificate: ${cause instanceof Error ? cause.message : cause}`, {
      fix: 'put the CA’s certificate there as PEM text',
      cause,
    })
  }
}
