import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { checkout } from './seeder.ts'

/**
 * Holds what the program wrote or printed against its published schema, `docs/schemas/NAME.schema.json`. Readers have to
 * bear fields that a schema does not have; here each has to be in it. Returns the value.
 * @throws Error with all that is wrong
 */
export async function published<T>(name: string, value: T): Promise<T> {
  const schema = JSON.parse(await readFile(join(checkout, 'docs/schemas', `${name}.schema.json`), 'utf8'))
  const ajv = new Ajv2020({ allErrors: true })
  formats.default(ajv)
  const validate = ajv.compile(closed(schema))
  if (validate(value)) return value
  const complaints = (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  )
  throw new Error([`it is not as ${name}.schema.json says:`, ...complaints].join('\n  '))
}

/** The same schema, which takes no field that it does not name. */
function closed(schema: unknown): object {
  const walk = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(walk)
    if (typeof one !== 'object' || one === null) return one
    const inner = Object.fromEntries(Object.entries(one).map(([key, value]) => [key, walk(value)]))
    const isObject = 'properties' in one && !('additionalProperties' in one)
    return isObject ? { ...inner, additionalProperties: false } : inner
  }
  return walk(schema) as object
}
