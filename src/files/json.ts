import type { z } from 'zod'
import { SeederError } from '../report/error.ts'
import { bounded, oneLine } from '../report/printable.ts'
import { describeIssue, flattenIssues } from '../report/schema-issue.ts'
import { jsonFault } from './json-fault.ts'
import { readText, unlessRead } from './text-file.ts'

/** So many things that are wrong with one file are told. */
const MOST_FAULTS = 3

/** Text that is not the JSON it should be. `message` says where and what was found, and not yet in which file. */
export class UnreadableJson extends SeederError {
  override readonly name = 'UnreadableJson'
}

/**
 * Reads JSON through a schema.
 * @throws UnreadableJson that says what was found at which line and column, or in which field
 */
export function parseJson<S extends z.ZodType>(text: string, schema: S): z.output<S> {
  return checkJson(jsonOf(text), schema)
}

/** As `parseJson`, of JSON that was parsed before. */
export function checkJson<S extends z.ZodType>(value: unknown, schema: S): z.output<S> {
  // Not with the input in its issues: of a value with very many levels zod could not make its error.
  const checked = schema.safeParse(value, { error: describeIssue })
  if (checked.success) return checked.data
  const faults = flattenIssues(checked.error.issues).map(({ text }) => bounded(oneLine(text), 300))
  const more = faults.length - MOST_FAULTS
  const told = faults.slice(0, MOST_FAULTS).join('; ')
  throw new UnreadableJson(more > 0 ? `${told}; and ${more} more` : told, { cause: checked.error })
}

/** JSON as a value of which nothing is known. Throws UnreadableJson with the line and the column. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new UnreadableJson(`it is no JSON: ${jsonFault(text)}`, { cause })
  }
}

/** As `jsonOf`, where what is none says nothing: undefined. */
export function anyJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What a message says after the name of a file whose JSON could not be taken: what was found in it. */
export function whyNot(cause: unknown): string {
  return cause instanceof SeederError ? cause.message : 'it cannot be read'
}

/** What a file is, for `readJson`. */
interface JsonFile {
  /** As in `is not WHAT`: "the manifest of an image". */
  readonly what: string
  readonly fix: string
  /** The error for a file that a person named; else SeederError. */
  readonly error?: typeof SeederError
  readonly pipes?: boolean
}

/**
 * Reads a file of JSON through a schema.
 * @throws SeederError, or `error`, that names the file, what was found in it, and what to do
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
