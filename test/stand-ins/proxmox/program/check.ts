/** What a value must be. */
export interface Spec {
  readonly type: 'string' | 'integer' | 'number' | 'boolean'
  readonly minimum?: number
  readonly maximum?: number
  readonly maxLength?: number
  readonly pattern?: RegExp
  readonly values?: readonly string[]
  /** Why a value is not of the format, without "invalid format - "; undefined when it is. */
  readonly format?: (value: string) => string | undefined
  /** The option is only for use together with another one. */
  readonly requires?: string
}

/** Why a value is refused, in the words of Proxmox VE's schema checker; undefined when it is accepted. */
export function refusal(spec: Spec, value: string): string | undefined {
  if (spec.type === 'boolean') {
    return booleanOf(value) === undefined ? `type check ('boolean') failed - got '${value}'` : undefined
  }
  if (spec.type === 'integer' && !/^[+-]?\d+$/.test(value)) {
    return `type check ('integer') failed - got '${value}'`
  }
  if (spec.type === 'number' && !/^[+-]?\d+(\.\d+)?$/.test(value)) {
    return `type check ('number') failed - got '${value}'`
  }
  if (spec.maxLength !== undefined && [...value].length > spec.maxLength) {
    return `value may only be ${spec.maxLength} characters long`
  }
  if (spec.pattern !== undefined && !spec.pattern.test(value)) return 'value does not match the regex pattern'
  const found = spec.format?.(value)
  // These reasons end with a newline of their own: one blank line more for each level of nesting.
  if (found !== undefined) return `invalid format - ${found}\n`
  if (spec.values !== undefined && !spec.values.includes(value)) {
    return `value '${value}' does not have a value in the enumeration '${spec.values.join(', ')}'`
  }
  if (spec.minimum !== undefined && Number(value) < spec.minimum) {
    return `value must have a minimum value of ${spec.minimum}`
  }
  if (spec.maximum !== undefined && Number(value) > spec.maximum) {
    return `value must have a maximum value of ${spec.maximum}`
  }
  return undefined
}

/** `1`, `yes`, `on`, `true`, or nothing at all for true. */
export function booleanOf(value: string): boolean | undefined {
  if (/^(1|on|yes|true)?$/i.test(value)) return true
  return /^(0|off|no|false)$/i.test(value) ? false : undefined
}

export const boolean: Spec = { type: 'boolean' }
export const text: Spec = { type: 'string' }

export function integer(minimum?: number, maximum?: number): Spec {
  return {
    type: 'integer',
    ...(minimum === undefined ? {} : { minimum }),
    ...(maximum === undefined ? {} : { maximum }),
  }
}

export function number(minimum?: number, maximum?: number): Spec {
  return { ...integer(minimum, maximum), type: 'number' }
}

export function oneOf(...values: readonly string[]): Spec {
  return { type: 'string', values }
}

export function matching(pattern: RegExp): Spec {
  return { type: 'string', pattern }
}

export function formatted(format: (value: string) => string | undefined): Spec {
  return { type: 'string', format }
}
