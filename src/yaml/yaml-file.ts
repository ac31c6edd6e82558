import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from 'yaml'
import type { z } from 'zod'
import { readText as decodedText } from '../files/text-file.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { firstUnprintable } from '../report/printable.ts'
import { describeIssue, dotted, type FlatIssue, flattenIssues } from '../report/schema-issue.ts'

/** Maximum bytes: a file that people write has a hundredth of it. */
const MOST_YAML = 1024 ** 2

/** Map keys and list indexes from the root, as in zod's issues. */
export type YamlPath = readonly PropertyKey[]

/** A problem at a place of a file. */
export interface YamlProblem {
  path: YamlPath
  found: string
  fix: string
  /** Point at the key of the last path step instead of at its value. */
  onKey?: boolean
}

/** A valid YAML file that knows the place of each of its values. */
export interface YamlFile<T> {
  readonly file: string
  readonly value: T
  /** `file:line:col` of the value at `path` (line and column from 1), or of the nearest parent that exists. */
  locate(path: YamlPath): string
  /** @throws UsageError `file:line:col: found; fix` */
  fail(path: YamlPath, found: string, fix: string): never
  /** @throws UsageError with a line per problem, in the order of the file, if there is any */
  rejectAny(problems: readonly YamlProblem[]): void
}

/**
 * Reads a file and parses it as `parseYaml` does.
 * @throws UsageError also when it cannot be read
 */
export async function loadYaml<S extends z.ZodType>(file: string, schema: S): Promise<YamlFile<z.output<S>>> {
  return parseYaml(await textOf(file), file, schema)
}

/**
 * Parses YAML 1.2 and checks it with a schema, whose objects should be strict. `file` is for messages. A schema's own
 * `error` replaces the part after the path.
 * @throws UsageError with all syntax errors, or else all schema errors, a line each: `file:line:col: found; fix`
 */
export function parseYaml<S extends z.ZodType>(text: string, file: string, schema: S): YamlFile<z.output<S>> {
  const lines = new LineCounter()
  const doc = documentOf(text, file, lines)
  const positionOf = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), col: Math.max(col, 1) }
  }
  const report = (found: readonly { offset: number; text: string }[]): void => {
    if (found.length === 0) return
    const sorted = [...found].sort((a, b) => a.offset - b.offset)
    const messages = sorted.map(({ offset, text }) => {
      const { line, col } = positionOf(offset)
      return `${file}:${line}:${col}: ${text}`
    })
    throw new UsageError([...new Set(messages)].join('\n'))
  }

  report(
    [...doc.errors, ...doc.warnings].map((error) => ({
      offset: error.pos[0],
      text: `${firstLine(error.message)}; ${syntaxFix(error.code)}`,
    })),
  )
  const value = plainValue(doc, file)
  report(
    unprintableIn(value).map(({ path, shown, onKey }) => ({
      offset: offsetOf(doc, path, onKey),
      text: `${dotted(path)}: has ${shown}, which does not print; remove it`,
    })),
  )
  const checked = schema.safeParse(value, { error: describeIssue, reportInput: true })
  if (!checked.success) {
    report(
      flattenIssues(checked.error.issues).map((issue: FlatIssue) => ({
        offset: offsetOf(doc, issue.path, issue.onKey),
        text: issue.text,
      })),
    )
    throw new UsageError(`${file}: does not fit its schema`)
  }
  const rejectAny = (problems: readonly YamlProblem[]) =>
    report(
      problems.map(({ path, found, fix, onKey }) => ({
        offset: offsetOf(doc, path, onKey ?? false),
        text: `${found}; ${fix}`,
      })),
    )
  return {
    file,
    value: checked.data,
    locate(path) {
      const { line, col } = positionOf(offsetOf(doc, path, false))
      return `${file}:${line}:${col}`
    },
    fail(path, found, fix): never {
      rejectAny([{ path, found, fix }])
      throw new UsageError(`${file}: ${found}; ${fix}`)
    },
    rejectAny,
  }
}

/** In the engine's message. */
const TOO_DEEP = /call stack/

/** The parser is recursive: a text with very many levels exhausts the call stack. */
function documentOf(text: string, file: string, lineCounter: LineCounter): Document {
  try {
    const doc = parseDocument(text, { lineCounter, prettyErrors: false })
    const [deep] = doc.errors.filter(({ message }) => TOO_DEEP.test(message))
    if (deep) throw new Error(deep.message)
    return doc
  } catch (cause) {
    throw new UsageError(`${file}: has too many levels; write lists and maps beside each other`, { cause })
  }
}

interface Unprintable {
  readonly path: YamlPath
  readonly shown: string
  readonly onKey: boolean
}

/** Keys and values with characters that a terminal does not show. A value that contains itself is searched once. */
function unprintableIn(value: unknown, path: YamlPath = [], seen = new Set<unknown>()): Unprintable[] {
  if (typeof value === 'string') {
    const found = firstUnprintable(value)
    return found ? [{ path, shown: found.shown, onKey: false }] : []
  }
  if (typeof value !== 'object' || value === null || seen.has(value)) return []
  seen.add(value)
  const list = Array.isArray(value)
  return Object.entries(value).flatMap(([key, inner]) => {
    const inside = [...path, list ? Number(key) : key]
    const found = list ? undefined : firstUnprintable(key)
    return [
      ...(found ? [{ path: inside, shown: found.shown, onKey: true }] : []),
      ...unprintableIn(inner, inside, seen),
    ]
  })
}

async function textOf(file: string): Promise<string> {
  try {
    return await decodedText(file, { most: MOST_YAML })
  } catch (cause) {
    if (cause instanceof SeederError) throw new UsageError(cause.message, { fix: cause.fix ?? '', cause })
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT') {
      throw new UsageError(`${file}: no such file`, { fix: 'check the path, or create the file', cause })
    }
    if (code === 'EISDIR') {
      throw new UsageError(`${file}: is a directory`, { fix: 'name the YAML file in it', cause })
    }
    throw new UsageError(`${file}: cannot be read (${code ?? 'unknown error'})`, {
      fix: 'check the permissions of the file',
      cause,
    })
  }
}

/** Converts the document to plain values, which detects alias loops and alias bombs. */
function plainValue(doc: Document, file: string): unknown {
  try {
    return doc.toJS()
  } catch (cause) {
    const found = cause instanceof Error ? firstLine(cause.message) : String(cause)
    if (TOO_DEEP.test(found)) {
      throw new UsageError(`${file}: has too many levels; write lists and maps beside each other`, { cause })
    }
    throw new UsageError(`${file}: ${found}; write the repeated values out`, { cause })
  }
}

/**
 * Offset of the value at `path`: of a scalar the value itself, of a map or list its key, where a reader looks for it.
 * For a path that does not exist, the offset of its deepest existing parent.
 */
function offsetOf(doc: Document, path: YamlPath, onKey: boolean): number {
  let node = resolved(doc, doc.contents)
  let keyOffset = 0
  let found = true
  for (const step of path) {
    const next = child(node, step)
    found = next !== undefined
    if (!next) break
    keyOffset = next.offset
    node = resolved(doc, next.value)
  }
  const valueOffset = node?.range?.[0]
  return found && !onKey && isScalar(node) && node.source && valueOffset !== undefined
    ? valueOffset
    : keyOffset
}

function child(node: Node | undefined, step: PropertyKey): { offset: number; value: unknown } | undefined {
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      if (isScalar(key) && String(key.value) === String(step)) return { offset: key.range?.[0] ?? 0, value }
    }
  }
  if (isSeq(node) && typeof step === 'number') {
    const item = node.items[step]
    if (isNode(item)) return { offset: item.range?.[0] ?? 0, value: item }
  }
  return undefined
}

function resolved(doc: Document, value: unknown): Node | undefined {
  if (!isNode(value)) return undefined
  return isAlias(value) ? value.resolve(doc) : value
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').replace(/[.:]$/, '')
}

function syntaxFix(code: string): string {
  if (code === 'DUPLICATE_KEY') return 'keep one of the two'
  if (code === 'TAB_AS_INDENT') return 'indent with spaces'
  if (code === 'MULTIPLE_DOCS') return 'keep one document per file'
  if (code === 'BAD_INDENT') return 'align it with its siblings'
  return 'correct the YAML here'
}
