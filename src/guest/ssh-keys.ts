/** A line of a file of ssh public keys that sshd or Proxmox VE would refuse. */
export interface KeyProblem {
  /** From 1. */
  readonly line: number
  readonly reason: string
}

/** The options of sshd's AUTHORIZED_KEYS FILE FORMAT, as they are matched: in lower case, without `no-`. */
const flags = new Set([
  'agent-forwarding',
  'cert-authority',
  'port-forwarding',
  'pty',
  'restrict',
  'touch-required',
  'user-rc',
  'verify-required',
  'x11-forwarding',
])
const settings = new Set([
  'command',
  'environment',
  'expiry-time',
  'from',
  'permitlisten',
  'permitopen',
  'principals',
  'tunnel',
])

/** The number of fields in a key's blob, with the name of its type. */
const fields: ReadonlyMap<string, number> = new Map([
  ['ssh-ed25519', 2],
  ['ssh-rsa', 3],
  ['ecdsa-sha2-nistp256', 3],
  ['ecdsa-sha2-nistp384', 3],
  ['ecdsa-sha2-nistp521', 3],
  ['sk-ssh-ed25519@openssh.com', 3],
  ['sk-ecdsa-sha2-nistp256@openssh.com', 4],
])

/**
 * Reads a file of public keys as sshd does: blank lines, comments, Windows line ends and blanks at the ends mean nothing. A
 * byte order mark, which sshd does not skip, means nothing either.
 * @returns a line per key in the form that Proxmox VE takes, which writes it unquoted into YAML: comments of keys lose what
 *   YAML would read as something else
 */
export function parseSshKeys(text: string): { keys: string[]; problems: KeyProblem[] } {
  const keys: string[] = []
  const problems: KeyProblem[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const read = readLine(line)
    if (typeof read === 'string') problems.push({ line: index + 1, reason: read })
    else keys.push(read.join(' '))
  }
  return { keys, problems }
}

/** The parts of a key's line, or why it is not one. */
function readLine(line: string): string[] | string {
  const [first = '', ...others] = line.split(/\s+/)
  const plain = fields.has(first)
  const options = plain ? '' : optionsOf(line)
  const [type = '', blob = '', ...comment] = plain
    ? [first, ...others]
    : line.slice(options.length).trim().split(/\s+/)
  if (!fields.has(type)) return `has no type of key that sshd knows: ${[...fields.keys()].join(', ')}`
  const bad = (options === '' ? undefined : optionProblem(options)) ?? blobProblem(type, blob)
  if (bad !== undefined) return bad
  return [options, type, blob, commentFor(comment.join(' '))].filter((part) => part !== '')
}

/** The options before a key: up to the first blank that is not between quotes. */
function optionsOf(line: string): string {
  return /^(?:"(?:\\"|[^"])*"|[^\s"])*/.exec(line)?.[0] ?? ''
}

function optionProblem(options: string): string | undefined {
  // Proxmox VE writes the line as it is, and YAML would end the text there.
  if (/: | #/.test(options))
    return 'has ": " or " #" in its options, which Proxmox VE cannot write on the drive'
  for (const [, name = '', value] of options.matchAll(/([^,="]+)(=(?:"(?:\\"|[^"])*"|[^,]*))?,?/g)) {
    const known =
      value === undefined
        ? flags.has(name.toLowerCase().replace(/^no-/, ''))
        : settings.has(name.toLowerCase())
    if (!known) return `has an option that sshd does not know: ${name}`
    if (value !== undefined && !/^="(?:\\"|[^"])*"$/.test(value))
      return `has no quotes around the value of ${name}`
  }
  return undefined
}

/** The blob names its type, and is neither cut short nor longer. */
function blobProblem(type: string, blob: string): string | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(blob)) return 'has no key in base64 after its type'
  const bytes = Buffer.from(blob, 'base64')
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : Number.POSITIVE_INFINITY
    if (at + 4 + size > bytes.length) return 'has a key that is cut short'
    parts.push(bytes.subarray(at + 4, at + 4 + size))
    at += 4 + size
  }
  if (parts[0]?.toString('latin1') !== type) return `is a key of another type than ${type}`
  return parts.length === fields.get(type) ? undefined : 'has a key that is cut short'
}

/** A key's comment without what ends a text in YAML or on a line. */
function commentFor(comment: string): string {
  return comment
    .replace(/\p{Cc}/gu, '')
    .replace(/:(?= |$)/g, '')
    .replace(/(^| )#+/g, '$1')
    .replace(/ +/g, ' ')
    .trim()
}
