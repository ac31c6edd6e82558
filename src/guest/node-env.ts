/** The values of a node's `/etc/seeder/node.env`, by key. */
export type NodeValues = Readonly<Record<string, string>>

/** What is wrong with a value, in first boot's words: the key (or line) and the reason. */
export interface ValueProblem {
  readonly key: string
  readonly reason: string
}

/** The words of a value that is a list. */
export function words(value: string | undefined): string[] {
  return (value ?? '').split(/[ \t]+/).filter((word) => word !== '')
}

/**
 * Reads a file as first boot does: KEY=value, KEY="value" or KEY='value', one per line, comments on lines of their own.
 * An empty value stays one: it says that a value which would follow by itself is not wanted.
 */
export function parseNodeEnv(text: string): { values: Record<string, string>; problems: ValueProblem[] } {
  const values: Record<string, string> = {}
  const problems: ValueProblem[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const at = `line ${index + 1}`
    if (/^[ \t]*([#;].*)?$/.test(line)) continue
    if (!/^[\t -~]*$/.test(line)) {
      problems.push({ key: at, reason: 'has a character that is not printable ASCII' })
      continue
    }
    const [, key = '', rest = ''] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line) ?? []
    const value = /^"([^"\\]*)"[ \t]*$/.exec(rest)?.[1] ?? /^'([^']*)'[ \t]*$/.exec(rest)?.[1] ?? rest
    // What a line that is none holds may be a secret.
    if (key === '') problems.push({ key: at, reason: 'is not KEY=value' })
    else if (key in values) problems.push({ key, reason: 'is set twice' })
    else if (value === rest && /["'\\]/.test(rest)) {
      problems.push({ key, reason: `has a quote or a backslash in its value (${at})` })
    } else values[key] = value.trim()
  }
  return { values, problems }
}

/** The file for these values, which `checkForm` has nothing against. Empty ones are left out. */
export function formatNodeEnv(values: NodeValues): string {
  return Object.entries(values)
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${/^[\w.:/=,-]+$/.test(value) ? value : `"${value}"`}\n`)
    .join('')
}

/** What no value of any role may have in it. */
export function checkForm(values: NodeValues): ValueProblem[] {
  return Object.entries(values).flatMap(([key, value]): ValueProblem[] => {
    if (!/^[\t -~]*$/.test(value)) return [{ key, reason: 'has a character that is not printable ASCII' }]
    if (/[*?[]/.test(value)) return [{ key, reason: 'has a *, a ? or a [ in its value' }]
    return /["'\\]/.test(value) ? [{ key, reason: 'has a quote or a backslash in its value' }] : []
  })
}
