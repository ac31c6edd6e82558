import { z } from 'zod'
import { isAddress } from '../platform/address.ts'
import { UsageError } from '../report/error.ts'
import { quoteValue } from '../report/schema-issue.ts'

/** The certificate authorities, named like their certificates in the images: `trust/NAME.crt`. */
export const authorityNames = ['etcd-ca', 'kubernetes-ca', 'front-proxy-ca'] as const
export type AuthorityName = (typeof authorityNames)[number]

/** The kinds of certificates that the images use. */
export const kindNames = ['etcd-member', 'apiserver-etcd-client', 'etcd-client'] as const
export type KindName = (typeof kindNames)[number]

/** What all certificates of a kind have in common. */
export interface Profile {
  readonly authority: AuthorityName
  /** The name of its files without `.crt` and `.key`, also in a node's /etc/seeder/tls. */
  readonly file: string
  readonly usages: readonly ('serverAuth' | 'clientAuth')[]
  /** Whether it is for a machine with an address. */
  readonly addressed: boolean
  /** The common name of its subject, if that is not the certificate's name. */
  readonly commonName?: string
  /** The default name of the certificate. */
  readonly defaultName?: string
}

export const profiles: Readonly<Record<KindName, Profile>> = {
  // A member is a server for the others and a client of them.
  'etcd-member': {
    authority: 'etcd-ca',
    file: 'etcd',
    addressed: true,
    usages: ['serverAuth', 'clientAuth'],
  },
  // The common name is kubeadm's, which etcd's log shows.
  'apiserver-etcd-client': {
    authority: 'etcd-ca',
    file: 'apiserver-etcd-client',
    addressed: false,
    usages: ['clientAuth'],
    commonName: 'kube-apiserver-etcd-client',
    defaultName: 'apiserver-etcd-client',
  },
  'etcd-client': { authority: 'etcd-ca', file: 'etcd-client', addressed: false, usages: ['clientAuth'] },
}

/** A requested certificate. Made by `parseRequest`, or read from a certificate. */
export interface Request {
  readonly kind: KindName
  /** The certificate's name; with etcd-member, the member's name. */
  readonly name: string
  /** The machine's IPv4 address; with kinds that have one. */
  readonly address?: string
}

const label = z
  .string()
  .refine((text) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text) && !/^\d+$/.test(text), {
    error: ({ input }) =>
      `${quoteValue(input)} is no name for a certificate: a name is a DNS label of lower-case letters, digits and hyphens`,
  })
  .refine((text) => text !== 'localhost' && !authorityNames.some((taken) => taken === text), {
    error: ({ input }) => `${quoteValue(input)} is no name for a certificate: it is another’s`,
  })

const machineAddress = z.string().refine((text) => isAddress(text) && !isUnreachable(text), {
  error: ({ input }) => `${quoteValue(input)} is not the IPv4 address of a machine`,
})

const requestSchema = z.object({
  kind: z.enum(kindNames, {
    error: ({ input }) => `there is no kind of certificate ${quoteValue(input)}`,
  }),
  name: label,
  address: machineAddress.optional(),
})

/** Loopback, "this host", multicast and reserved addresses, which no other machine can reach. */
function isUnreachable(address: string): boolean {
  const first = Number(address.split('.')[0])
  return first === 0 || first === 127 || first >= 224
}

/**
 * Parses a request that an operator wrote.
 * @throws UsageError that names the wrong part
 */
export function parseRequest(input: { kind: string; name?: string; address?: string }): Request {
  const profile = z.enum(kindNames).safeParse(input.kind)
  const name = input.name ?? (profile.data && profiles[profile.data].defaultName)
  if (name === undefined && profile.data) {
    throw new UsageError(`${profile.data}: no name given`, { fix: nameFix(profile.data) })
  }
  const parsed = requestSchema.safeParse({ ...input, name })
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const field = issue?.path[0]
    const fixes = { kind: `the kinds are ${kindNames.join(', ')}`, address: 'give one as in 10.0.0.129' }
    throw new UsageError(issue?.message ?? '', {
      fix: field === 'kind' || field === 'address' ? fixes[field] : nameFix(profile.data),
    })
  }
  const { kind, name: checked, address } = parsed.data
  if (profiles[kind].addressed !== (address !== undefined)) {
    throw address === undefined
      ? new UsageError(`${kind} ${checked}: no address given`, { fix: 'add --address, as in 10.0.0.129' })
      : new UsageError(`${kind} ${checked}: it is for a client, which may be at any address`, {
          fix: 'leave --address out',
        })
  }
  return { kind, name: checked, ...(address === undefined ? {} : { address }) }
}

function nameFix(kind: KindName | undefined): string {
  return kind === 'etcd-member'
    ? 'give the member’s name, which is its VM’s, as in etcd1'
    : 'give a name that says who has it, as in operator'
}

/** The common name of its certificate's subject. */
export function commonNameOf({ kind, name }: Request): string {
  return profiles[kind].commonName ?? name
}

/** The subject's alternative names, DNS names first. A client has no alternative names. */
export function alternativeNames({ name, address }: Request): string[] {
  // First boot and the operator's command query the member on its own machine.
  return address === undefined ? [] : [name, 'localhost', address, '127.0.0.1']
}

/** The X.509 extensions of a CA, as in openssl's configuration. It signs leaves and no other CA. */
export const authorityExtensions: readonly string[] = [
  'basicConstraints=critical,CA:TRUE,pathlen:0',
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
  'authorityKeyIdentifier=keyid:always',
]

/** The X.509 extensions of a requested certificate, as in openssl's configuration. */
export function leafExtensions(request: Request): string[] {
  const names = alternativeNames(request).map((name) => (isAddress(name) ? `IP:${name}` : `DNS:${name}`))
  return [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    `extendedKeyUsage=${profiles[request.kind].usages.join(',')}`,
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid:always',
    ...(names.length === 0 ? [] : [`subjectAltName=${names.join(',')}`]),
  ]
}
