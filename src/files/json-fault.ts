import { bounded, oneLine } from '../report/printable.ts'

const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[ !#-[\]-\u{10ffff}]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-]))/uy

/** Descriptions of what may come next. */
const expectations = {
  value: 'a value',
  item: 'a value or ]',
  member: 'a name in double quotes or }',
  name: 'a name in double quotes',
  colon: 'a colon',
} as const

type State = keyof typeof expectations | 'after'

/** The place where text stops being JSON, what was found there and what was expected, on one line. */
export function jsonFault(text: string): string {
  const open: ('{' | '[')[] = []
  let state: State = 'value'
  let offset = 0
  while (state !== 'after' || open.length > 0) {
    TOKEN.lastIndex = offset
    const found = TOKEN.exec(text)
    const next: State | undefined = found
      ? follow(state, found[1] ?? (found[2] ? '"' : '0'), open)
      : undefined
    if (next === undefined) return describe(text, offset, expected(state, open))
    state = next
    offset = TOKEN.lastIndex
  }
  return describe(text, offset, 'its end')
}

/** The state after a token; undefined when it is not allowed there. `open` has the lists and maps around it. */
function follow(state: State, token: string, open: ('{' | '[')[]): State | undefined {
  const close = open.at(-1) === '{' ? '}' : ']'
  if (open.length > 0 && token === close && ['after', 'item', 'member'].includes(state)) {
    open.pop()
    return 'after'
  }
  if (state === 'after')
    return token === ',' && open.length > 0 ? (close === '}' ? 'name' : 'value') : undefined
  if (state === 'colon') return token === ':' ? 'value' : undefined
  if (state === 'name' || state === 'member') return token === '"' ? 'colon' : undefined
  if (token === '"' || token === '0') return 'after'
  if (token !== '{' && token !== '[') return undefined
  open.push(token)
  return token === '{' ? 'member' : 'item'
}

function expected(state: State, open: readonly string[]): string {
  if (state !== 'after') return expectations[state]
  return open.at(-1) === '{' ? 'a comma or }' : 'a comma or ]'
}

function describe(text: string, from: number, wanted: string): string {
  const offset = from + (/^[ \t\r\n]*/.exec(text.slice(from))?.[0].length ?? 0)
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  const column = offset - before.lastIndexOf('\n')
  const there =
    offset >= text.length ? 'it ends' : `it has ${bounded(oneLine(text.slice(offset, offset + 20)), 60)}`
  return `at line ${line}, column ${column} ${there}, and not ${wanted}`
}
