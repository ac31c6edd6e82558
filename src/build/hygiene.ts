import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { SeederError } from '../report/error.ts'

/**
 * A PEM private key with a body: programs that merely know the header (ssh, openssl) do not match.
 * Perl syntax, for `grep -Pz`, where a file without NUL bytes is one record.
 */
const PRIVATE_KEY = '-----BEGIN [A-Z ]*PRIVATE KEY-----\\s+(?:[A-Za-z-]+: .*\\s+)*[A-Za-z0-9+/=]{40}'

/**
 * Shell text that prints a line `FINDING<tab>PATH` for every file below `folder`, a path in the image's tree (the
 * current folder), that holds a private key. The fixed string is looked for first: it is a hundred times faster than
 * the pattern.
 */
export function findPrivateKeys(folder: string): string {
  return [
    `{ grep -rlaF --null 'PRIVATE KEY-----' .${folder} || true; } |`,
    `  { xargs -0 -r grep -lPza -- '${PRIVATE_KEY}' || true; } |`,
    `  sed 's|^\\./|private key\\t/|'`,
  ].join('\n')
}

/**
 * Shell text that checks the tree of the root file system in the current folder, printing a line per finding.
 * Nothing that identifies a machine, nothing secret and nothing left over may be in an image that many clones share.
 */
export const FIND_LEFTOVERS = [
  'report() { kind=$1; shift; for path; do [ -e "$path" ] || [ -L "$path" ] || continue; printf "%s\\t/%s\\n" "$kind" "$path"; done; }',
  "report 'ssh host key' etc/ssh/ssh_host_*",
  "report 'random seed' var/lib/systemd/random-seed var/lib/urandom/random-seed boot/loader/random-seed",
  "report 'credential secret' var/lib/systemd/credential.secret",
  "report 'DHCP lease' var/lib/dhcp/*.lease* var/lib/dhcpcd/*.lease* var/lib/NetworkManager/*.lease*",
  "report 'cloud-init instance' var/lib/cloud/instance var/lib/cloud/instances/*",
  "report 'shell history' root/.*_history home/*/.*_history",
  "report 'authorized key' root/.ssh/authorized_keys home/*/.ssh/authorized_keys",
  "[ ! -s etc/machine-id ] || report 'machine-id' etc/machine-id",
  "[ ! -s var/lib/dbus/machine-id ] || report 'machine-id' var/lib/dbus/machine-id",
  'find var/log var/lib/apt/lists var/cache/apt -type f 2> /dev/null | while read -r path; do report \'log or package list\' "$path"; done',
  `mawk -F: '$2 !~ /^[!*]*$/ || ($2 == "" ) { print "password of " $1 "\\t/etc/shadow" }' etc/shadow`,
  `mawk -F: '$2 != "x" { print "password of " $1 "\\t/etc/passwd" }' etc/passwd`,
  findPrivateKeys('/'),
].join('\n')

/** Throws SeederError naming everything a hygiene script printed; `where` says which part of the image it read. */
export function requireClean(where: string, findings: string): void {
  const lines = findings.split('\n').filter(Boolean)
  if (lines.length === 0) return
  const listed = lines.map((line) => line.replace('\t', ' in '))
  throw new SeederError(`The image must not be made: ${where} has ${listed.join('; ')}`, {
    fix: 'remove it from the image’s tree or packages; keys and identities belong to a clone, not to an image',
  })
}

const KEY_HEADER = Buffer.from('PRIVATE KEY-----')
const KEY_BODY = /PRIVATE KEY-----\s+(?:[A-Za-z-]+: .*\s+)*[A-Za-z0-9+/=]{40}/

/**
 * Reads the raw disk once, as it lies, for its SHA-256 (hex) and size (bytes), and for private keys that got past
 * the look at the trees, in a deleted block say. Throws SeederError with the offset of the first one.
 */
export async function digestCleanDisk(file: string): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256')
  let size = 0
  let tail: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(file, { highWaterMark: 4 << 20 }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    const seam = Buffer.concat([tail, chunk.subarray(0, 512)])
    const inSeam = findKey(seam)
    const inChunk = inSeam === undefined ? findKey(chunk) : undefined
    if (inSeam !== undefined || inChunk !== undefined) {
      const offset = inSeam === undefined ? size + (inChunk ?? 0) : size - tail.length + inSeam
      requireClean('the disk', `private key\toffset ${offset}`)
    }
    tail = chunk.subarray(-512)
    size += chunk.length
  }
  return { sha256: hash.digest('hex'), size }
}

/** Whether there is a private key in a file. */
export function holdsPrivateKey(content: Buffer): boolean {
  return findKey(content) !== undefined
}

function findKey(bytes: Buffer): number | undefined {
  for (let at = bytes.indexOf(KEY_HEADER); at >= 0; at = bytes.indexOf(KEY_HEADER, at + 1)) {
    if (KEY_BODY.test(bytes.toString('latin1', at, at + 400))) return at
  }
  return undefined
}
