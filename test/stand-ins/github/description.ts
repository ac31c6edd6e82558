import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import addFormats from 'ajv-formats'
import { type AjvCustomizer, type Document, OpenAPIBackend } from 'openapi-backend'
import { z } from 'zod'

type Node = Record<string, unknown>
type Components = Record<string, Node>

const node = z.record(z.string(), z.unknown())
const documentSchema = z.looseObject({
  openapi: z.string(),
  info: node,
  paths: z.record(z.string(), node),
  components: z.record(z.string(), node),
})

/**
 * GitHub's own OpenAPI description, cut down to some operations: the whole takes half a minute to compile. One thing
 * is added: an asset can also be a `starter`, which GitHub does answer and its description leaves out.
 */
export async function loadDescription(operations: readonly string[]): Promise<OpenAPIBackend> {
  const file = createRequire(import.meta.url).resolve('@octokit/openapi/generated/api.github.com.json')
  const whole = documentSchema.parse(JSON.parse(await readFile(file, 'utf8')))
  const paths = pathsOf(whole.paths, new Set(operations))
  const components = needed(paths, whole.components)
  addStarter(components)
  const backend = new OpenAPIBackend({
    definition: { openapi: whole.openapi, info: whole.info, paths, components } as unknown as Document,
    quick: true,
    ajvOpts: { strict: false },
    customizeAjv: formats,
  })
  return backend.init()
}

/** Dates and addresses are checked too; the other formats say nothing about a JSON value. */
const formats: AjvCustomizer = (ajv) => {
  addFormats.default(ajv)
  for (const name of ['binary', 'repo.nwo', 'timestamp']) ajv.addFormat(name, true)
  return ajv
}

/** A part of the description as a validator takes it. */
function valid(part: unknown): unknown {
  return JSON.parse(JSON.stringify(part), revive)
}

/** Examples are most of the description; and `nullable` without a type, as GitHub has it, is not for a validator. */
function revive(key: string, value: unknown): unknown {
  if (key === 'examples' && typeof value === 'object' && !Array.isArray(value)) return undefined
  if (typeof value !== 'object' || value === null || !('nullable' in value) || 'type' in value) return value
  const { nullable, ...rest } = value
  return nullable === true ? { anyOf: [rest, { enum: [null] }] } : rest
}

/** The paths with no other operations than those. */
function pathsOf(paths: Record<string, Node>, wanted: Set<string>): Record<string, Node> {
  const kept: Record<string, Node> = {}
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const id = z.looseObject({ operationId: z.string() }).safeParse(operation).data?.operationId
      if (id === undefined || !wanted.delete(id)) continue
      kept[path] = { ...kept[path], [method]: valid(operation) }
    }
  }
  for (const id of wanted) missing(id)
  return kept
}

/** The components that these paths refer to, and those that they refer to. */
function needed(paths: unknown, components: Components): Components {
  const kept: Components = {}
  const open = [...references(paths)]
  for (let reference = open.pop(); reference !== undefined; reference = open.pop()) {
    const [kind = '', name = ''] = reference.split('/').slice(2)
    if (kept[kind]?.[name] !== undefined) continue
    const component = valid(components[kind]?.[name] ?? missing(reference))
    kept[kind] = { ...kept[kind], [name]: component }
    open.push(...references(component))
  }
  return kept
}

function references(within: unknown): Set<string> {
  const found = new Set<string>()
  JSON.stringify(within, (key, value) => {
    if (key === '$ref' && typeof value === 'string') found.add(value)
    return value
  })
  return found
}

function addStarter(components: Components): void {
  const asset = z
    .looseObject({ properties: z.looseObject({ state: z.looseObject({ enum: z.array(z.string()) }) }) })
    .parse(components.schemas?.['release-asset'])
  asset.properties.state.enum.push('starter')
  components.schemas = { ...components.schemas, 'release-asset': asset }
}

function missing(what: string): never {
  throw new Error(`GitHub’s description has no ${what}`)
}
