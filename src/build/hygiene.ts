import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { SeederError } from '../report/error.ts'
import { beginsKey, findKeyText, findPrivateKeys } from './private-keys.ts'

/**
 * Shell text that checks the tree of the root file system in the current folder and prints a line per finding. Many clones
 * share an image, so it must not contain a machine's identity, secrets, logs or leftovers.
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
  // Nobody's password, as programs write it: none can be entered (*, !), or it is in /etc/shadow (x). An empty one is open.
  `mawk -F: '$2 !~ /^[!*]+$/ { print "password of " $1 "\\t/etc/shadow" }' etc/shadow`,
  `mawk -F: '$2 !~ /^(x|[!*]+)$/ { print "password of " $1 "\\t/etc/passwd" }' etc/passwd`,
  // A group's is different: an empty one cannot be entered.
  `for file in etc/group etc/gshadow; do [ ! -e "$file" ] || mawk -F: -v file="$file" '$2 !~ /^(x|[!*]*)$/ { print "password of group " $1 "\\t/" file }' "$file"; done`,
  findPrivateKeys('/'),
].join('\n')

/**
 * @param where the checked part of the image
 * @throws SeederError with all findings of a hygiene script
 */
export function requireClean(where: string, findings: string): void {
  const lines = findings.split('\n').filter(Boolean)
  if (lines.length === 0) return
  const listed = lines.map((line) => line.replace('\t', ' in '))
  throw new SeederError(`The image must not be made: ${where} has ${listed.join('; ')}`, {
    fix: 'remove it from the image’s tree or packages; keys and identities belong to a clone, not to an image',
  })
}

/** A range of the disk that is not searched: a compressed file system, whose tree was checked before. */
export interface Opaque {
  readonly start: number
  readonly end: number
}

/** Bytes: the size of a chunk, a multiple of every file system's block size, and of the overlap of two chunks. */
const CHUNK = 4 << 20
const SEAM = 4096
const ZEROS = Buffer.alloc(CHUNK)

/**
 * Reads the raw disk for its SHA-256 (hex) and size (bytes), and searches it for private keys that are not in the trees, such
 * as in a deleted block.
 * @throws SeederError with the offset of the first key
 */
export async function digestCleanDisk(
  file: string,
  opaque: readonly Opaque[] = [],
): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256')
  let size = 0
  let tail: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(file, { highWaterMark: CHUNK }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    const hidden = opaque.some(({ start, end }) => size >= start && size + chunk.length <= end)
    const found = hidden || isZero(chunk) ? undefined : findInChunk(chunk, tail)
    if (found !== undefined) requireClean('the disk', `private key\toffset ${size + found}`)
    tail = hidden ? Buffer.alloc(0) : Buffer.from(chunk.subarray(-SEAM))
    size += chunk.length
  }
  return { sha256: hash.digest('hex'), size }
}

function isZero(chunk: Buffer): boolean {
  return chunk.equals(chunk.length === CHUNK ? ZEROS : ZEROS.subarray(0, chunk.length))
}

/** The offset of a key in a chunk; negative when it starts in `tail`, the end of the previous chunk. */
function findInChunk(chunk: Buffer, tail: Buffer): number | undefined {
  const seam = findKeyText(Buffer.concat([tail, chunk.subarray(0, SEAM)]))
  if (seam !== undefined) return seam - tail.length
  const text = findKeyText(chunk)
  if (text !== undefined) return text
  // Files begin at blocks; the smallest block of our file systems is a FAT's sector.
  for (let offset = 0; offset < chunk.length; offset += 512) if (beginsKey(chunk, offset)) return offset
  return undefined
}
