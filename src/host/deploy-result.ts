import { z } from 'zod'
import { parseJson, whyNot } from '../files/json.ts'
import { SeederError } from '../report/error.ts'
import { foreignLine, sha256Hex } from '../report/text-schemas.ts'

const template = z.object({
  image: foreignLine,
  version: foreignLine,
  vmid: z.int(),
  node: foreignLine,
  storage: foreignLine,
  sha256: sha256Hex,
})

/** What `deploy.sh --json DIR` prints. */
const resultSchema = z.object({
  templates: z.array(
    template.extend({
      /** Whether this run has made it the current one. */
      changed: z.boolean(),
      /** The template that was current before. */
      previous: z.int().nullable(),
    }),
  ),
})

/** What `deploy.sh --list --json` prints. */
const listSchema = z.object({
  templates: z.array(
    template.extend({
      current: z.boolean(),
      /** ISO 8601. */
      deployed: foreignLine,
      /** The linked clones of all nodes, by id. */
      clones: z.array(z.int()),
    }),
  ),
})

export type DeployedTemplate = z.output<typeof resultSchema>['templates'][number]
export type ListedTemplate = z.output<typeof listSchema>['templates'][number]

export function parseDeployResult(text: string): DeployedTemplate[] {
  return parse(resultSchema, text).templates
}

export function parseTemplateList(text: string): ListedTemplate[] {
  return parse(listSchema, text).templates
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return parseJson(text, schema)
  } catch (cause) {
    throw new SeederError(`deploy.sh printed something that cannot be read as its result: ${whyNot(cause)}`, {
      fix: 'the script on this host is of another version of Seeder: run scripts/runner.sh install again',
      cause,
    })
  }
}
