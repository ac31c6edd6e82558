/** Compares versions of Debian packages as dpkg does: negative when `left` is older, 0 when they are equal. */
export function compareDebianVersions(left: string, right: string): number {
  const [a, b] = [split(left), split(right)]
  return a.epoch - b.epoch || compareParts(a.upstream, b.upstream) || compareParts(a.revision, b.revision)
}

function split(version: string): { epoch: number; upstream: string; revision: string } {
  const [, epoch = '0', rest = version] = /^(\d+):(.*)$/.exec(version) ?? []
  const dash = rest.lastIndexOf('-')
  return dash < 0
    ? { epoch: Number(epoch), upstream: rest, revision: '' }
    : { epoch: Number(epoch), upstream: rest.slice(0, dash), revision: rest.slice(dash + 1) }
}

/** Compares alternately parts of other characters, by character, and of digits, by number. */
function compareParts(left: string, right: string): number {
  const [a, b] = [pieces(left), pieces(right)]
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [x, y] = [a[index] ?? '', b[index] ?? '']
    const order = index % 2 === 0 ? compareText(x, y) : compareNumbers(x, y)
    if (order !== 0) return order
  }
  return 0
}

/** Alternately text and digits, starting with text, which may be empty. */
function pieces(text: string): string[] {
  return text.split(/(\d+)/)
}

function compareNumbers(left: string, right: string): number {
  const [a, b] = [left.replace(/^0+/, ''), right.replace(/^0+/, '')]
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

function compareText(left: string, right: string): number {
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const order = rank(left[index]) - rank(right[index])
    if (order !== 0) return order
  }
  return 0
}

/** A tilde sorts before the end of the text, letters before other characters. */
function rank(character: string | undefined): number {
  if (character === undefined) return 0
  if (character === '~') return -1
  const code = character.codePointAt(0) ?? 0
  return /[A-Za-z]/.test(character) ? code : code + 256
}
