import type { z } from 'zod'
import { SeederError } from '../report/error.ts'
import { bounded, oneLine } from '../report/printable.ts'
import { describeIssue, flattenIssues } from '../report/schema-issue.ts'
import { jsonFault } from './json-fault.ts'
import { readText, unlessRead } from './text-file.ts'

/** Maximum faults of a file that are reported. */
const MOST_FAULTS = 3

/** Invalid JSON. `message` has the place and what was found there, but not the file. */
export class UnreadableJson extends SeederError {
  override readonly name = 'UnreadableJson'
}

/**
 * Parses JSON and checks it with a schema.
 * @throws UnreadableJson with the line and column, or the field
 */
export function parseJson<S extends z.ZodType>(text: string, schema: S): z.output<S> {
  return checkJson(jsonOf(text), schema)
}

/** As `parseJson`, of a parsed value. */
export function checkJson<S extends z.ZodType>(value: unknown, schema: S): z.output<S> {
  // Without the input in the issues: zod cannot create an error of a value with very many levels.
  const checked = schema.safeParse(value, { error: describeIssue })
  if (checked.success) return checked.data
  const faults = flattenIssues(checked.error.issues).map(({ text }) => bounded(oneLine(text), 300))
  const more = faults.length - MOST_FAULTS
  const reported = faults.slice(0, MOST_FAULTS).join('; ')
  throw new UnreadableJson(more > 0 ? `${reported}; and ${more} more` : reported, { cause: checked.error })
}

/**
 * Parses JSON.
 * @throws UnreadableJson with the line and the column
 */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new UnreadableJson(`it is no JSON: ${jsonFault(text)}`, { cause })
  }
}

/** As `jsonOf`; undefined for invalid JSON. */
export function anyJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The rest of a message about a file with invalid JSON: what was found in it. */
export function whyNot(cause: unknown): string {
  return cause instanceof SeederError ? cause.message : 'it cannot be read'
}

/** Describes a file to `readJson`. */
interface JsonFile {
  /** As in `is not WHAT`: "the manifest of an image". */
  readonly what: string
  readonly fix: string
  /** The class of the error; SeederError by default. */
  readonly error?: typeof SeederError
  readonly pipes?: boolean
}

/**
 * Reads a file of JSON and checks it with a schema.
 * @throws SeederError, or `error`
 */
export async function readJson<S extends z.ZodType>(
  file: string,
  schema: S,
  json: JsonFile,
): Promise<z.output<S>> {
  const { what, fix, error: Wrong = SeederError, pipes = false } = json
  try {
    const text = await readText(file, { pipes }).catch(
      unlessRead((cause) => new SeederError(`it cannot be read (${codeOf(cause)})`, { cause })),
    )
    return parseJson(text, schema)
  } catch (cause) {
    throw new Wrong(`${file} is not ${what}: ${whyNot(cause)}`, { fix, cause })
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
}
