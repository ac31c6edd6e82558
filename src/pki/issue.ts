import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { SeederError, UsageError } from '../report/error.ts'
import { parts } from './folder.ts'
import { type CertificateEntry, namesOf, type PkiInventory, readInventory, requestOf } from './inventory.ts'
import { type CertificatePlan, type KeyPair, makePair } from './openssl.ts'
import { writePair } from './pair.ts'
import { commonNameOf, leafExtensions, profiles, type Request } from './profile.ts'
import { type ChangeSession, changeSession, type Place } from './session.ts'
import {
  certificateProblem,
  expiresWithin,
  type Lifetime,
  requireAuthority,
  requireOutlasting,
  validityPeriod,
} from './validity.ts'

/** A certificate that a CA has signed, with its key. */
export interface Issued {
  readonly request: Request
  /** `kept`: it existed already, for the same name and address. */
  readonly outcome: 'issued' | 'kept' | 'renewed'
  readonly notAfter: Date
  readonly certificateFile: string
  readonly keyFile: string
  /** PEM. */
  readonly pair: KeyPair
}

/**
 * Issues a certificate, or returns the one that was issued for the same request.
 * @throws UsageError when another certificate has that name
 * @throws SeederError when the existing certificate, or the CA, cannot be used
 */
export async function issue(place: Place, request: Request, lifetime: Lifetime): Promise<Issued> {
  return await changeSession(place, false, async (session) => {
    const inventory = await readInventory(session.folder)
    const existing = inventory.issued.find((entry) => entry.name === request.name)
    if (existing) return reuse(existing, request, inventory, lifetime.now)
    requireSigner(request, inventory, lifetime)
    return await sign(session, request, lifetime, 'issued')
  })
}

/** A choice of certificates: by name, or those that expire within this number of days. */
export type Choice = { readonly names: readonly string[] } | { readonly within: number }

/**
 * Issues certificates again, for the same names and addresses, each with a new key. An old one stays until the new one
 * is complete.
 * @throws UsageError for an unknown name
 * @throws SeederError when one of them cannot be renewed; then none of them is
 */
export async function renew(place: Place, choice: Choice, lifetime: Lifetime): Promise<Issued[]> {
  return await changeSession(place, false, async (session) => {
    const inventory = await readInventory(session.folder)
    const requests = chooseEntries(inventory, choice, lifetime.now).map(requestAgain)
    for (const request of requests) requireSigner(request, inventory, lifetime)
    const renewed: Issued[] = []
    for (const request of requests) renewed.push(await sign(session, request, lifetime, 'renewed'))
    return renewed
  })
}

function reuse(entry: CertificateEntry, request: Request, inventory: PkiInventory, now: Date): Issued {
  const found = requestOf(entry)
  if (entry.certificate && (found === undefined || describe(found) !== describe(request))) {
    throw new UsageError(
      `${request.name} exists already: ${found ? `an ${describe(found)}` : describeFound(entry.certificate)}`,
      {
        fix: `take another name; or, if that one was a mistake and is in use nowhere, remove ${entry.folder}`,
      },
    )
  }
  const problem = certificateProblem(entry, inventory, now)
  const { certificate, key, certificateFile, keyFile } = entry
  if (problem === undefined && certificate && key) {
    const pair = {
      certificate: certificate.toString(),
      key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }
    return { request, outcome: 'kept', notAfter: certificate.validToDate, certificateFile, keyFile, pair }
  }
  throw new SeederError(`${request.name} exists already, but it ${problem}`, {
    fix: certificate
      ? `make a new one with: seeder pki renew ${request.name}`
      : `remove ${entry.folder}, and issue it again`,
  })
}

function describe({ kind, address }: Request): string {
  return address === undefined ? kind : `${kind} for ${address}`
}

function describeFound(certificate: X509Certificate): string {
  return `a certificate for ${[certificate.subject, ...namesOf(certificate)].join(', ')}`
}

function chooseEntries(inventory: PkiInventory, choice: Choice, now: Date): CertificateEntry[] {
  if ('within' in choice) {
    return inventory.issued.filter(
      ({ certificate }) => certificate && expiresWithin(certificate, now, choice.within),
    )
  }
  return [...new Set(choice.names)].map((name) => {
    const found = inventory.issued.find((entry) => entry.name === name)
    if (found) return found
    if (Object.hasOwn(inventory.authorities, name)) {
      throw new UsageError(`${name} is a CA, and all certificates that it has signed depend on its key`, {
        fix: 'see "Replacing a CA" in docs/operations.md',
      })
    }
    throw new UsageError(`There is no certificate "${name}"`, {
      fix: `there are: ${inventory.issued.map((entry) => entry.name).join(', ') || 'none; issue one first'}`,
    })
  })
}

function requestAgain(entry: CertificateEntry): Request {
  const request = requestOf(entry)
  if (request) return request
  throw new SeederError(
    `${entry.name} cannot be renewed: ${
      entry.certificate
        ? `it is ${describeFound(entry.certificate)}, which is not what ${entry.name} is issued for`
        : `it ${entry.damage}`
    }`,
    { fix: `remove ${entry.folder}, and issue it again` },
  )
}

function requireSigner(request: Request, inventory: PkiInventory, lifetime: Lifetime): void {
  const { authority } = profiles[request.kind]
  requireOutlasting(authority, requireAuthority(authority, inventory, lifetime.now), lifetime)
}

async function sign(
  { folder, scratch }: ChangeSession,
  request: Request,
  lifetime: Lifetime,
  outcome: Issued['outcome'],
): Promise<Issued> {
  const { authority, file } = profiles[request.kind]
  const plan: CertificatePlan = {
    commonName: commonNameOf(request),
    curve: 'P-256',
    extensions: leafExtensions(request),
    ...validityPeriod(lifetime),
  }
  // Relative to the scratch folder, because openssl could take an absolute path for a URI.
  const signer = join('..', parts.authorities, authority, authority)
  const pair = await makePair(plan, { certificate: `${signer}.crt`, key: `${signer}.key` }, scratch)
  await writePair(join(folder, parts.issued), request.name, file, pair)
  const path = join(folder, parts.issued, request.name, file)
  return {
    request,
    outcome,
    pair,
    certificateFile: `${path}.crt`,
    keyFile: `${path}.key`,
    notAfter: new X509Certificate(pair.certificate).validToDate,
  }
}
