import type { z } from 'zod'
import { bounded, oneLine } from './printable.ts'

type RawIssue = z.core.$ZodRawIssue
type Issue = z.core.$ZodIssue

/** A schema error as a line of text, with its path. */
export interface FlatIssue {
  path: PropertyKey[]
  text: string
  /** The error is about the key itself (unknown, not allowed), not about its value. */
  onKey: boolean
}

/** The text `found …; fix` of a zod issue, unless the schema has its own `error`. */
export function describeIssue(issue: RawIssue): string | undefined {
  const found = `found ${quoteValue(issue.input)}`
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return `missing; add it (${typeName(issue.expected)})`
      if (issue.expected === 'string' && typeof issue.input === 'number')
        return `${found}, a number; put it in quotes`
      return `${found}; give ${typeName(issue.expected)}`
    case 'invalid_value': {
      const allowed = issue.values.map(String)
      if (issue.input === undefined) return `missing; add it (one of ${allowed.join(', ')})`
      return `${found}; ${suggestion(scalarText(issue.input), allowed)}`
    }
    case 'unrecognized_keys': {
      const known = knownKeys(issue.inst)
      return issue.keys.map((key) => oneLine(suggestion(key, known))).join('\n')
    }
    case 'too_small':
      return `${found}; give ${bound('at least', Number(issue.minimum), issue.origin)}`
    case 'too_big':
      return `${found}; give ${bound('at most', Number(issue.maximum), issue.origin)}`
    case 'invalid_format':
      return `${found}; write it as ${issue.pattern ?? issue.format}`
    default:
      return undefined
  }
}

/** All lines of zod's issues: one per unknown key, and of a union the branch that fits best. */
export function flattenIssues(issues: readonly Issue[], prefix: readonly PropertyKey[] = []): FlatIssue[] {
  return issues.flatMap((issue): FlatIssue[] => {
    const path = [...prefix, ...issue.path]
    if (issue.code === 'unrecognized_keys') {
      const fixes = issue.message.split('\n')
      return issue.keys.map((key, index) => {
        const whole = [...path, key]
        return {
          path: whole,
          text: `${dotted(whole)}: unknown key; ${fixes[index] ?? 'remove it'}`,
          onKey: true,
        }
      })
    }
    if (issue.code === 'invalid_union' && issue.errors.length > 0) {
      return flattenIssues(nearestBranch(issue.errors), path)
    }
    if (issue.code === 'invalid_key') {
      const text = issue.issues.map((inner) => inner.message).join(', ')
      return [{ path, text: `${dotted(path)}: ${text}`, onKey: true }]
    }
    return [{ path, text: `${dotted(path)}: ${issue.message}`, onKey: false }]
  })
}

/** A path as people write it: `zones.front.hosts[1]`; the root is `the file`. */
export function dotted(path: readonly PropertyKey[]): string {
  const text = path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${bounded(oneLine(String(step)), 60)}`))
    .join('')
  return text === '' ? 'the file' : text.replace(/^\./, '')
}

/** A value as it is shown in messages: JSON, at most 60 characters. */
export function quoteValue(value: unknown): string {
  if (value === null) return 'nothing'
  const text = oneLine(jsonText(value).slice(0, 200))
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** JSON where the value has any: a YAML alias can point at its own parent. */
function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return 'a value that contains itself'
  }
}

/** A list or a map resembles no word; one with very many levels cannot even be converted to text. */
function scalarText(value: unknown): string {
  return typeof value === 'object' ? '' : String(value)
}

/** What to write instead of `word`: the nearest of `known` when one is near, else the list of them. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  if (near !== undefined) return `did you mean ${near}?`
  return known.length > 0 ? `use one of ${known.join(', ')}` : 'remove it'
}

/** Maximum length of a word that may be a misspelt name. */
const MOST_COMPARED = 100

/** The candidate that differs from `word` by the fewest edits, when that is at most a third of its length. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MOST_COMPARED) return undefined
  const scored = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.floor(Math.max(word.length, candidate.length) / 3))
    .sort((a, b) => a.distance - b.distance)
  return scored[0]?.candidate
}

/** Insertions, deletions, substitutions and swaps of neighbours from `a` to `b` (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, index) => index)]
  const distance = (i: number, j: number) => rows[i]?.[j] ?? 0
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    rows.push(row)
    for (let j = 1; j <= b.length; j++) {
      const changed = distance(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(changed, distance(i - 1, j) + 1, distance(i, j - 1) + 1))
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) row[j] = Math.min(distance(i, j), distance(i - 2, j - 2) + 1)
    }
  }
  return distance(a.length, b.length)
}

/** The branch of a union whose issues are reported: it does not fail on the type of the whole value. */
function nearestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  const wrongType = (branch: readonly Issue[]) =>
    branch.some((issue) => issue.path.length === 0 && issue.code === 'invalid_type') ? 1 : 0
  return [...branches].sort((a, b) => wrongType(a) - wrongType(b) || a.length - b.length)[0] ?? []
}

function knownKeys(inst: unknown): string[] {
  const def = (inst as { _zod?: { def?: Record<string, unknown> } } | undefined)?._zod?.def
  if (def?.shape) return Object.keys(def.shape)
  const keyType = def?.keyType as { _zod?: { values?: Set<unknown> } } | undefined
  return [...(keyType?._zod?.values ?? [])].map(String)
}

function typeName(expected: string): string {
  const names: Record<string, string> = {
    string: 'text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    object: 'a map of keys',
    record: 'a map of keys',
  }
  return names[expected] ?? expected
}

function bound(word: string, limit: number, origin: string): string {
  if (origin === 'string') return `${word} ${limit} character${limit === 1 ? '' : 's'}`
  if (origin === 'array') return `${word} ${limit} item${limit === 1 ? '' : 's'}`
  return `${word} ${limit}`
}
