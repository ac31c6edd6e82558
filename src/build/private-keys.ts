import { shellQuote } from './enclosure.ts'

// The formats of private keys in files. Not found: keys in compressed files and archives, in UTF-16, binary keys that are not at
// the start of a file, and secrets without a format (passwords, tokens).
// The patterns are valid in both Perl and JavaScript: a build searches the tree with Perl, and the raw disk with JavaScript.

/** White space within base64, also as escaped in JSON and shell strings. */
const GAP = String.raw`(?:\s|\\[nrt]|["'+,;])`
const base64 = (count: number) => `(?:[A-Za-z0-9+/=]${GAP}*){${count}}`

/** Before a key that Go's own tests use. It has this header instead of a PRIVATE KEY's, for those who look for keys. */
const GO_TESTING = String.raw`TESTING KEY-----\n`

/** A text format of keys. Only files with one of `markers` can have it. */
interface TextForm {
  readonly markers: readonly string[]
  /** Matches near a marker: from `BEFORE` bytes before it to `BEHIND` bytes after it. */
  readonly pattern: string
}

/** The three base64 encodings of a text, by its offset, without the ends that depend on the surrounding text. */
function encodings(text: string): string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.from(`${'\0'.repeat(offset)}${text}`).toString('base64')
    const whole = Math.floor(((offset + text.length) * 8) / 6)
    return encoded.slice(Math.ceil((offset * 8) / 6), whole)
  })
}

const ONCE = encodings('PRIVATE KEY--')
const TWICE = ONCE.flatMap(encodings)

const TEXT_FORMS: readonly TextForm[] = [
  // PEM and OpenPGP's armour, with a body: programs that only contain the header (ssh, openssl) do not match.
  {
    markers: ['PRIVATE KEY'],
    pattern: `-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----${GAP}*(?:[A-Za-z-]+: [^\\n\\\\]*${GAP}+)*${base64(40)}`,
  },
  // The same in base64, as in a kubeconfig's client-key-data, and encoded twice, as in a Secret with a kubeconfig.
  {
    markers: [...ONCE, ...TWICE],
    pattern: `(?:${[...ONCE, ...TWICE].map(quoteMeta).join('|')})[A-Za-z0-9+/=]{40}`,
  },
  // DER in base64 without a header: PKCS#8 of RSA, Ed25519 and elliptic curves; PKCS#1; SEC 1. Not the
  // keys of Go's own tests, which programs with a test server in them (crictl) contain.
  {
    markers: [
      'IBADANBgkqhkiG9w0BAQEFAAS',
      'MC4CAQAwBQYDK2Vw',
      'AgEAMBMGByqGSM49AgEG',
      'AgEAMBAGByqGSM49AgEG',
    ],
    pattern: `(?:(?<!${GO_TESTING}MII[A-Za-z0-9+/]{3})IBADANBgkqhkiG9w0BAQEFAAS|MC4CAQAwBQYDK2Vw|AgEAMB[AM]GByqGSM49AgEG)${base64(40)}`,
  },
  { markers: ['IBAAKC', 'IBAAKB'], pattern: `(?<!${GO_TESTING})MII[A-Za-z0-9+/]{3}IBAAK[BC]${base64(80)}` },
  {
    markers: ['MHcCAQEEI', 'MIGkAgEBBD', 'MIHcAgEBBE'],
    pattern: `(?<!${GO_TESTING})(?:MHcCAQEEI|MIGkAgEBBD|MIHcAgEBBE)${base64(60)}`,
  },
  {
    markers: ['PuTTY-User-Key-File-'],
    pattern: String.raw`PuTTY-User-Key-File-\d: [\s\S]{0,3000}?Private-Lines: \d`,
  },
  { markers: ['AGE-SECRET-KEY-1'], pattern: 'AGE-SECRET-KEY-1[0-9A-Z]{40}' },
  // WireGuard
  { markers: ['PrivateKey'], pattern: String.raw`PrivateKey\s*=\s*[A-Za-z0-9+/]{43}=` },
  // JSON Web Keys
  {
    markers: ['"kty"'],
    pattern: String.raw`"kty"[^{}]{0,3000}"d"\s*:\s*"[\w-]{20,}|"d"\s*:\s*"[\w-]{20,}"[^{}]{0,3000}"kty"`,
  },
]

/** The first bytes of binary formats, as hexadecimal digits. */
const HEADS: readonly string[] = [
  // PKCS#8: version, then the algorithm's identifier
  '30(?:82....|81..|..)02010[01]30(?:81..|..)06',
  // the same, encrypted
  '30(?:82....|81..)30(?:81..|..)06(?:092a864886f70d0105|0a2a864886f70d010c01)',
  // PKCS#1: version, then a modulus of 1024 bits or more
  '30(?:82....|81..)02010[01]028[12]',
  // SEC 1: version 1, then the number
  '30(?:82....|81..|..)02010104(?:14|18|1c|20|28|30|40|42)',
  // PKCS#12
  '30(?:80|81..|82....|83......|84........)020103308',
  // Java's keystores whose first entry is a private key
  '(?:feedfeed|cececece)0000000[12].{8}00000001',
  // OpenPGP secret keys made since 1995: of version 4 with a first number of 1024 bits or more, or with a curve; of version 6
  '(?:94..|95....|96........|97|c5(?:[0-9a-b].|[cd]...|ff........))' +
    '(?:04[3-9a-f].{7}(?:(?:0[1-3]|1[01])(?:0[4-9a-f]|1.|20).[08][89a-f]|(?:12|13|16)(?:03|05|08|09|0a)2[ab])' +
    '|06[3-9a-f].{7}(?:01|19|1[abc])0000)',
  // GnuPG's own: (11:private-key, (21:protected-private-key, (20:shadowed-private-key, and lines: Created:, Key: (private-key
  '283(?:1313a|2313a|2303a)(?:70726f7465637465642d|736861646f7765642d)?707269766174652d6b6579',
  '(?:437265617465643a(?:..)+0a)?4b65793a2028(?:70726f7465637465642d|736861646f7765642d)?707269766174652d6b6579',
  // openssh-key-v1, without its armour
  '6f70656e7373682d6b65792d763100',
]

/** The number of bytes that identify a binary format. */
const HEAD_BYTES = 64

/** The number of bytes before and after a marker in which a key is searched. */
const BEFORE = 100
const BEHIND = 4000

const TEXT = new RegExp(TEXT_FORMS.map(({ pattern }) => pattern).join('|'))
const MARKERS = TEXT_FORMS.flatMap(({ markers }) => markers).map((marker) => Buffer.from(marker))
const HEAD = new RegExp(`^(?:${HEADS.join('|')})`)
/** The possible first bytes, a quick check that most files fail. */
const FIRST_BYTES = new Set([0x30, 0xfe, 0xce, 0x94, 0x95, 0x96, 0x97, 0xc5, 0x28, 0x43, 0x4b, 0x6f])

/** The offset of the marker of a private key in text form; undefined when there is none. */
export function findKeyText(bytes: Buffer): number | undefined {
  for (const marker of MARKERS) {
    for (let offset = bytes.indexOf(marker); offset >= 0; offset = bytes.indexOf(marker, offset + 1)) {
      if (TEXT.test(bytes.toString('latin1', Math.max(0, offset - BEFORE), offset + BEHIND))) return offset
    }
  }
  return undefined
}

/** Whether a private key in binary form starts at an offset. */
export function beginsKey(bytes: Buffer, offset = 0): boolean {
  if (!FIRST_BYTES.has(bytes[offset] ?? 0)) return false
  return HEAD.test(bytes.toString('hex', offset, offset + HEAD_BYTES))
}

/** Whether a file contains a private key. */
export function holdsPrivateKey(content: Buffer): boolean {
  return beginsKey(content) || findKeyText(content) !== undefined
}

/**
 * Shell text that prints a line `private key<tab>PATH` for every file with a private key below `folder`, a path in the image's
 * tree (the current folder). It searches for markers first, and reads only files with one of them whole.
 */
export function findPrivateKeys(folder: string): string {
  const markers = MARKERS.map((marker) => shellQuote(marker.toString()))
  const report = 'print "private key\\t", substr($_, 1), "\\n"'
  // As findKeyText does.
  const texts = [
    'local $/; my @files = split /\\0/, <STDIN> // "";',
    'FILE: for (@files) { open my $file, "<", $_ or next; my $text = <$file>; for my $marker (@ARGV) {',
    'for (my $offset = index $text, $marker; $offset >= 0; $offset = index $text, $marker, $offset + 1) {',
    `my $start = $offset > ${BEFORE} ? $offset - ${BEFORE} : 0;`,
    `if (substr($text, $start, $offset - $start + ${BEHIND}) =~ /${perlPattern(TEXT)}/o) { ${report}; next FILE }`,
    '} } }',
  ].join(' ')
  const heads = `local $/ = "\\0"; while (<STDIN>) { chomp; open my $file, "<", $_ or next; read $file, my $head, ${HEAD_BYTES}; ${report} if unpack("H*", $head) =~ /${perlPattern(HEAD)}/o }`
  const options = markers.map((marker) => `-e ${marker}`).join(' ')
  return [
    `{ { LC_ALL=C grep -rlaF --null ${options} .${folder} || true; } | perl -e ${shellQuote(texts)} -- ${markers.join(' ')}`,
    `  find .${folder} -type f -size +15c -print0 | perl -e ${shellQuote(heads)}; } | LC_ALL=C sort -u`,
  ].join('\n')
}

function quoteMeta(text: string): string {
  return text.replace(/[+/]/g, '\\$&')
}

/** A pattern between slashes in Perl, where `$` and `@` would be variables: the patterns above have none. */
function perlPattern({ source }: RegExp): string {
  return source.replace(/(?<!\\)\//g, '\\/')
}
