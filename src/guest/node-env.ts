/** The values of a node's `/etc/seeder/node.env`, by key. */
export type NodeValues = Readonly<Record<string, string>>

/** A problem with a value, as first boot reports it: the key (or line) and the reason. */
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
 * An empty value stays empty: it takes away a value that would be derived.
 */
export function parseNodeEnv(text: string): { values: Record<string, string>; problems: ValueProblem[] } {
  const values: Record<string, string> = {}
  const problems: ValueProblem[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const place = `line ${index + 1}`
    if (/^[ \t]*([#;].*)?$/.test(line)) continue
    if (!/^[\t -~]*$/.test(line)) {
      problems.push({ key: place, reason: 'has a character that is not printable ASCII' })
      continue
    }
    const [, key = '', rest = ''] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line) ?? []
    const value = /^"([^"\\]*)"[ \t]*$/.exec(rest)?.[1] ?? /^'([^']*)'[ \t]*$/.exec(rest)?.[1] ?? rest
    // A line that cannot be read may contain a secret.
    if (key === '') problems.push({ key: place, reason: 'is not KEY=value' })
    else if (key in values) problems.push({ key, reason: 'is set twice' })
    else if (value === rest && /["'\\]/.test(rest)) {
      problems.push({ key, reason: `has a quote or a backslash in its value (${place})` })
    } else values[key] = value.trim()
  }
  return { values, problems }
}

/** The file for these values, which have passed `checkForm`. Empty ones are left out. */
export function formatNodeEnv(values: NodeValues): string {
  return Object.entries(values)
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${/^[\w.:/=,-]+$/.test(value) ? value : `"${value}"`}\n`)
    .join('')
}

/** The values that no line of the file can have, whatever the role. */
export function checkForm(values: NodeValues): ValueProblem[] {
  return Object.entries(values).flatMap(([key, value]): ValueProblem[] => {
    if (!/^[\t -~]*$/.test(value)) return [{ key, reason: 'has a character that is not printable ASCII' }]
    if (/[*?[]/.test(value)) return [{ key, reason: 'has a *, a ? or a [ in its value' }]
    return /["'\\]/.test(value) ? [{ key, reason: 'has a quote or a backslash in its value' }] : []
  })
}
