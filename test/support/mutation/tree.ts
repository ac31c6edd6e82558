import { HOSTILE_TEXT, type Mutation } from './bytes.ts'
import type { Random } from './random.ts'

type Path = readonly (string | number)[]

/** Values of every kind, to stand where another kind is expected. */
const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  2 ** 53 - 1,
  -(2 ** 53),
  8_640_000_000_001,
  1e308,
  '',
  ' ',
  'x',
  '0',
  'x'.repeat(2 ** 20),
  'ü'.repeat(5000),
  [],
  {},
  [[]],
  [null],
  { a: 1 },
  Array(2000).fill('x'),
  { '': '' },
  ...HOSTILE_TEXT,
]

/** Stands for very many lists in each other, which nothing can write that goes down by itself. */
const DEEP = 'twenty-thousand-levels'

/** A file whose value has one thing changed that its form may not allow. `format` writes a value as text. */
export function mutateTree(value: unknown, random: Random, format: (value: unknown) => string): Mutation {
  const copy = structuredClone(value)
  const paths = pathsOf(copy)
  const path = random.pick(paths)
  const other = random.pick(paths)
  const set = (place: Path, made: unknown) => put(copy, place, made)
  const changes: Readonly<Record<string, () => unknown>> = {
    'another value': () => set(path, random.pick(VALUES)),
    'a value less': () => put(copy, path, undefined),
    'hostile text at its end': () => set(path, `${String(get(copy, path))}${random.pick(HOSTILE_TEXT)}`),
    'a value that is elsewhere': () => set(path, structuredClone(get(copy, other))),
    'a list of it': () => set(path, [get(copy, path), get(copy, path)]),
    'a deep value': () => set(path, DEEP),
    'more keys': () => set([...path, random.pick(HOSTILE_TEXT)], random.pick(VALUES)),
    'very many keys': () => {
      for (let count = 0; count < 500; count++) set([...path, `${random.pick(HOSTILE_TEXT)}${count}`], count)
      return copy
    },
  }
  const [what, change] = random.pick(Object.entries(changes))
  const levels = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  const text = format(change()).replace(new RegExp(`"?${DEEP}"?`), levels)
  return { what: `${what} at ${JSON.stringify(path)}`, content: Buffer.from(text) }
}

/** Paths of up to some hundred values, the root among them. */
function pathsOf(value: unknown, path: Path = [], found: Path[] = []): Path[] {
  if (found.length > 400) return found
  found.push(path)
  if (Array.isArray(value)) {
    for (const [index, inner] of value.entries()) pathsOf(inner, [...path, index], found)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) pathsOf(inner, [...path, key], found)
  }
  return found
}

function get(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, step) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, step) : undefined),
    value,
  )
}

/** Sets or, with undefined, removes what is at a path; a new root is returned. */
function put(root: unknown, path: Path, made: unknown): unknown {
  const step = path.at(-1)
  const parent = get(root, path.slice(0, -1))
  if (step === undefined) return made ?? null
  if (typeof parent !== 'object' || parent === null) return root
  if (made !== undefined) {
    Object.defineProperty(parent, step, { value: made, enumerable: true, configurable: true, writable: true })
  } else if (Array.isArray(parent)) parent.splice(Number(step), 1)
  else Reflect.deleteProperty(parent, step)
  return root
}
