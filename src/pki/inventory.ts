import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isAddress } from '../platform/address.ts'
import { parts } from './folder.ts'
import {
  type AuthorityName,
  alternativeNames,
  authorityNames,
  commonNameOf,
  type KindName,
  kindNames,
  parseRequest,
  profiles,
  type Request,
} from './profile.ts'

/** A certificate with its key in the folder of a PKI, complete or not. */
export interface CertificateEntry {
  readonly name: string
  /** `unknown` for a folder without a certificate of a known kind. */
  readonly kind: KindName | 'ca' | 'unknown'
  /** The CA that should have signed it; a CA signs itself. Undefined for the kind `unknown`. */
  readonly authority: AuthorityName | undefined
  /** Whether any of its files exists. */
  readonly exists: boolean
  readonly folder: string
  readonly certificateFile: string
  readonly keyFile: string
  readonly certificate: X509Certificate | undefined
  readonly key: KeyObject | undefined
  /** Why the two cannot be used together; undefined when they can. */
  readonly damage: string | undefined
}

/** Everything in a PKI. Each CA has an entry, even if it is missing. */
export interface PkiInventory {
  readonly authorities: Readonly<Record<AuthorityName, CertificateEntry>>
  /** By name. */
  readonly issued: readonly CertificateEntry[]
}

/** Reads the folder of a PKI. A damaged certificate is an entry with `damage`. */
export async function readInventory(folder: string): Promise<PkiInventory> {
  const [etcd, kubernetes, frontProxy] = await Promise.all([
    readAuthority(folder, 'etcd-ca'),
    readAuthority(folder, 'kubernetes-ca'),
    readAuthority(folder, 'front-proxy-ca'),
  ])
  const names = (await readdir(join(folder, parts.issued))).sort(byName)
  return {
    authorities: { 'etcd-ca': etcd, 'kubernetes-ca': kubernetes, 'front-proxy-ca': frontProxy },
    issued: await Promise.all(names.map((name) => readIssued(folder, name))),
  }
}

/** All entries, the CAs first. */
export function entriesOf({ authorities, issued }: PkiInventory): CertificateEntry[] {
  return [...authorityNames.map((name) => authorities[name]), ...issued]
}

/** etcd10 comes after etcd9. */
function byName(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

async function readAuthority(root: string, name: AuthorityName): Promise<CertificateEntry> {
  return await readEntry(join(root, parts.authorities, name), name, { name, kind: 'ca', authority: name })
}

async function readIssued(root: string, name: string): Promise<CertificateEntry> {
  const folder = join(root, parts.issued, name)
  const kind = kindNames.find((known) =>
    ['crt', 'key'].some((ending) => existsSync(join(folder, `${profiles[known].file}.${ending}`))),
  )
  if (kind) {
    const { authority, file } = profiles[kind]
    return await readEntry(folder, file, { name, kind, authority })
  }
  return {
    name,
    kind: 'unknown',
    authority: undefined,
    exists: false,
    folder,
    certificateFile: '',
    keyFile: '',
    certificate: undefined,
    key: undefined,
    damage: 'holds no certificate of a kind that is known',
  }
}

async function readEntry(
  folder: string,
  file: string,
  who: Pick<CertificateEntry, 'name' | 'kind' | 'authority'>,
): Promise<CertificateEntry> {
  const certificateFile = join(folder, `${file}.crt`)
  const keyFile = join(folder, `${file}.key`)
  const certificate = await readPem(certificateFile, (text) => new X509Certificate(text))
  const key = await readPem(keyFile, createPrivateKey)
  const damage =
    certificate === undefined && key === undefined
      ? 'is missing'
      : certificate === undefined
        ? 'has a key, but no certificate'
        : typeof certificate === 'string'
          ? `has no certificate (PEM) in ${file}.crt`
          : key === undefined
            ? 'has no key'
            : typeof key === 'string'
              ? `has no private key (PEM, without a passphrase) in ${file}.key`
              : certificate.checkPrivateKey(key)
                ? undefined
                : 'has the key of another certificate'
  return {
    ...who,
    folder,
    certificateFile,
    keyFile,
    damage,
    exists: certificate !== undefined || key !== undefined,
    certificate: typeof certificate === 'string' ? undefined : certificate,
    key: typeof key === 'string' ? undefined : key,
  }
}

/** The content of a file; undefined when it does not exist, `unreadable` when it is not PEM of that kind. */
async function readPem<T>(path: string, parse: (text: string) => T): Promise<T | 'unreadable' | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return undefined
  })
  if (text === undefined) return undefined
  try {
    return parse(text)
  } catch {
    return 'unreadable'
  }
}

/** The DNS names and addresses that a certificate is for. */
export function namesOf(certificate: X509Certificate): string[] {
  const text = certificate.subjectAltName ?? ''
  return text === '' ? [] : text.split(', ').map((name) => name.replace(/^(DNS|IP Address):/, ''))
}

/** The hash of a CA's public key, as Kubernetes nodes get it in JOIN_CA_HASH. */
export function publicKeyHash(certificate: X509Certificate): string {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return `sha256:${createHash('sha256').update(key).digest('hex')}`
}

/**
 * Reads from a certificate the request that it was made for.
 * @returns undefined when a request under this name would make another certificate today
 */
export function requestOf({ name, kind, certificate }: CertificateEntry): Request | undefined {
  if (certificate === undefined || kind === 'ca' || kind === 'unknown') return undefined
  const names = namesOf(certificate)
  const address = names.find((name) => isAddress(name) && name !== '127.0.0.1')
  try {
    const request = parseRequest({ kind, name, ...(address === undefined ? {} : { address }) })
    const expected = alternativeNames(request)
    return certificate.subject === `CN=${commonNameOf(request)}` && expected.join() === names.join()
      ? request
      : undefined
  } catch {
    return undefined
  }
}
