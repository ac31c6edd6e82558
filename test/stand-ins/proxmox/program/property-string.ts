import { refusal, type Spec } from './check.ts'

/** The keys of a comma-separated property string, such as a drive or a network card. */
export interface PropertySchema {
  /** The key whose value may stand alone. */
  readonly defaultKey?: string
  readonly keys: Readonly<Record<string, Spec>>
  readonly required?: readonly string[]
  /** A key that is itself the value of another one, and carries a third one's: `virtio=MAC` is model and macaddr. */
  readonly paired?: { readonly names: readonly string[]; readonly key: string; readonly value: string }
}

export type Properties = Map<string, string>

/** The parts of a property string, or what is wrong with its form. Values are not checked. */
export function splitProperties(text: string, schema: PropertySchema): Properties | string {
  const found: Properties = new Map()
  for (const part of text.split(',')) {
    if (part === '') continue
    const pair = /^([^=]+)=(.+)$/s.exec(part)
    const [key, value] = pair === null ? [schema.defaultKey, part] : [pair[1] ?? '', pair[2] ?? '']
    if (pair === null && part.includes('=')) return 'missing key in comma-separated list property'
    if (key === undefined) return 'value without key, but schema does not define a default key'
    if (pair !== null && schema.paired?.names.includes(key)) {
      found.set(schema.paired.key, key)
      found.set(schema.paired.value, value)
      continue
    }
    if (found.has(key)) return `duplicate key in comma-separated list property: ${key}`
    found.set(key, value)
  }
  return found
}

/** Why a property string is refused; undefined when it is not. For `formatted`. */
export function propertyFormat(name: string, schema: PropertySchema): (value: string) => string | undefined {
  return (value) => {
    const properties = splitProperties(value, schema)
    if (typeof properties === 'string') return properties
    const problems = new Map<string, string>()
    for (const [key, one] of properties) {
      const spec = schema.keys[key]
      const found =
        spec === undefined
          ? 'property is not defined in schema and the schema does not allow additional properties'
          : refusal(spec, one)
      if (found !== undefined) problems.set(key, found)
    }
    for (const key of schema.required ?? []) {
      if (!properties.has(key)) problems.set(key, 'property is missing and it is not optional')
    }
    if (problems.size === 0) return undefined
    const lines = [...problems]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, why]) => `${name}.${key}: ${why}`)
    return ['format error', ...lines].join('\n')
  }
}

/** A property string: the lone value first, the others by their names. */
export function joinProperties(properties: Properties, defaultKey: string): string {
  const rest = [...properties].filter(([key]) => key !== defaultKey).sort(([a], [b]) => (a < b ? -1 : 1))
  return [properties.get(defaultKey) ?? '', ...rest.map(([key, value]) => `${key}=${value}`)].join(',')
}
