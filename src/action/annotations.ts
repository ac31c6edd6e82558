import { relative } from 'node:path'
import { describeError } from '../report/error.ts'

/** A message that GitHub shows beside a line of a file, or for the whole run. */
export interface Annotation {
  readonly message: string
  /** A place in the workspace; undefined for a message about the run. */
  readonly place?: { readonly file: string; readonly startLine: number; readonly startColumn: number }
}

/**
 * The annotations of an error: a line `file:line:column: text`, such as a fault of a definition, becomes one at that place;
 * the rest becomes one about the run.
 */
export function annotationsOf(error: unknown, workspace: string): Annotation[] {
  const text = describeError(error)
  const located: Annotation[] = []
  const rest: string[] = []
  for (const line of text.split('\n')) {
    const [, file, startLine, startColumn, message] = /^(.+?):(\d+):(\d+): (.+)$/.exec(line) ?? []
    if (file === undefined || message === undefined) rest.push(line)
    else {
      const place = {
        file: relative(workspace, file),
        startLine: Number(startLine),
        startColumn: Number(startColumn),
      }
      // GitHub cannot show a file outside the workspace.
      if (place.file.startsWith('..')) rest.push(line)
      else located.push({ message, place })
    }
  }
  return rest.length === 0 ? located : [...located, { message: rest.join('\n') }]
}
