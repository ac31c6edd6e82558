import { relative } from 'node:path'
import { describeError } from '../report/error.ts'

/** A message that the web page shows beside a line of a file, or of the whole run. */
export interface Annotation {
  readonly message: string
  /** Below the workspace; undefined when the message is of no file. */
  readonly at?: { readonly file: string; readonly startLine: number; readonly startColumn: number }
}

/**
 * What an error says, as annotations: `file:line:column: text`, as a definition's faults are told, becomes one at that
 * place; everything else is one about the run.
 */
export function annotationsOf(error: unknown, workspace: string): Annotation[] {
  const text = describeError(error)
  const located: Annotation[] = []
  const rest: string[] = []
  for (const line of text.split('\n')) {
    const [, file, startLine, startColumn, message] = /^(.+?):(\d+):(\d+): (.+)$/.exec(line) ?? []
    if (file === undefined || message === undefined) rest.push(line)
    else {
      const at = {
        file: relative(workspace, file),
        startLine: Number(startLine),
        startColumn: Number(startColumn),
      }
      // A file outside the workspace has no page to be shown on.
      if (at.file.startsWith('..')) rest.push(line)
      else located.push({ message, at })
    }
  }
  return rest.length === 0 ? located : [...located, { message: rest.join('\n') }]
}
