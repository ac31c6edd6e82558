import { loadYaml, parseYaml, type YamlFile } from '../yaml/yaml-file.ts'
import { checkPlatform } from './check.ts'
import { type Platform, platformSchema } from './schema.ts'

/**
 * Reads and checks a platform file.
 * @throws UsageError when it is missing, does not fit the schema or contradicts itself, with a line
 * `file:line:col: what was found; fix` per problem
 */
export async function loadPlatform(file: string): Promise<Platform> {
  return checked(await loadYaml(file, platformSchema))
}

/** As `loadPlatform`, from text; `file` is the name for messages. */
export function parsePlatform(text: string, file: string): Platform {
  return checked(parseYaml(text, file, platformSchema))
}

function checked(yaml: YamlFile<Platform>): Platform {
  yaml.rejectAny(checkPlatform(yaml.value))
  return yaml.value
}
