import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../report/error.ts'
import { loadYaml } from '../yaml/yaml-file.ts'
import { type Artifact, artifactsOf, checkArtifacts } from './artifact.ts'
import { type Repository, repositoriesOf } from './repository.ts'
import { type BaseDefinition, baseSchema, type ImageDefinition, imageSchema } from './schema.ts'

/** A distribution: its archives, its kernel, and the settings that its images share. */
export type Base = Omit<BaseDefinition, 'tools'> & { readonly name: string }

/** `images/NAME/image.yaml` with its base, for a line. */
export interface Image extends Omit<ImageDefinition, 'base' | 'lines' | 'artifacts' | 'repositories'> {
  readonly name: string
  readonly base: Base
  /** The packages of the tools that make the disk, and their base. */
  readonly tools: { readonly base: Base; readonly packages: readonly string[] }
  /** The chosen minor version; undefined for an image without lines. */
  readonly line: string | undefined
  readonly artifacts: readonly Artifact[]
  readonly repositories: readonly Repository[]
  /** The image's folder, with `image.yaml`, its lock, `tree/`, `trust/` and `keys/`. */
  readonly folder: string
  /** The lock of this image on this base, for this line. */
  readonly lockFile: string
  /** The options of `lock` that write this lock: --base and --line where needed. */
  readonly lockOptions: readonly string[]
  /** Folders with files that are added to those of packages; a later folder replaces files of an earlier one. */
  readonly trees: readonly string[]
}

/** A variant of an image: another base than its default, another line than the newest. */
export interface Variant {
  readonly base?: string | undefined
  readonly line?: string | undefined
}

/**
 * Reads the definition of an image and of its base.
 * @param project the folder with `images/`
 * @throws UsageError when the image, base or line is unknown, or a definition is wrong
 */
export async function loadImage(project: string, imageName: string, variant: Variant = {}): Promise<Image> {
  const folder = join(project, 'images', imageName)
  const file = join(folder, 'image.yaml')
  if (!/^[a-z][a-z0-9-]*$/.test(imageName) || !existsSync(file)) {
    throw new UsageError(`There is no image "${imageName}" in ${join(project, 'images')}`, {
      fix: `use one of: ${(await imageNames(project)).join(', ') || '(none found; is this a Seeder project?)'}`,
    })
  }
  const yaml = await loadYaml(file, imageSchema)
  const { lines, ...definition } = yaml.value
  checkArtifacts(yaml)
  const line = chooseLine(imageName, lines, variant.line)
  const chosen = variant.base ?? definition.base
  const { tools, ...base } = await loadBase(project, chosen)
  const options = [
    ...(chosen === definition.base ? [] : ['--base', chosen]),
    ...(line === lines?.[0] || line === undefined ? [] : ['--line', line]),
  ]
  const suffix = options.filter((word) => !word.startsWith('--')).map((word) => `.${word}`)
  return {
    ...definition,
    name: imageName,
    base,
    tools: await loadTools(project, base, tools),
    line,
    artifacts: artifactsOf(definition.artifacts, line),
    repositories: repositoriesOf(definition.repositories, folder, line),
    folder,
    lockFile: join(folder, `image${suffix.join('')}.lock.json`),
    lockOptions: options,
    trees: [join(project, 'images', 'common', 'tree'), join(folder, 'tree')].filter(existsSync),
  }
}

/** The names of a project's images, sorted. */
export async function imageNames(project: string): Promise<string[]> {
  const images = join(project, 'images')
  const entries = await readdir(images).catch(() => [])
  return entries.filter((entry) => existsSync(join(images, entry, 'image.yaml'))).sort()
}

/** The requested packages: the kernel, those of the base and of the image, sorted, without duplicates. */
export function requestedPackages(image: Image): string[] {
  return [...new Set([image.base.kernel, ...image.base.packages, ...image.packages])].sort()
}

function chooseLine(
  image: string,
  lines: readonly string[] | undefined,
  wanted: string | undefined,
): string | undefined {
  if (wanted === undefined) return lines?.[0]
  if (lines?.includes(wanted)) return wanted
  throw new UsageError(`${image} has no line "${wanted}"`, {
    fix: lines ? `use one of: ${lines.join(', ')}` : 'leave --line out: its image.yaml has no lines',
  })
}

async function loadTools(
  project: string,
  base: Base,
  tools: BaseDefinition['tools'],
): Promise<Image['tools']> {
  if (typeof tools !== 'string') return { base, packages: tools }
  const { tools: packages, ...other } = await loadBase(project, tools)
  if (typeof packages !== 'string') return { base: other, packages }
  throw new UsageError(
    `The base ${base.name} takes its tools from ${tools}, which takes them from ${packages}`,
    { fix: `list the tools in images/base/${tools}.yaml` },
  )
}

async function loadBase(project: string, baseName: string): Promise<BaseDefinition & { name: string }> {
  const folder = join(project, 'images', 'base')
  const file = join(folder, `${baseName}.yaml`)
  if (!/^[a-z][a-z0-9-]*$/.test(baseName) || !existsSync(file)) {
    const known = (await readdir(folder).catch(() => []))
      .filter((entry) => entry.endsWith('.yaml'))
      .map((entry) => entry.slice(0, -'.yaml'.length))
    throw new UsageError(`There is no base "${baseName}" in ${folder}`, {
      fix: `use one of: ${known.sort().join(', ') || '(none)'}`,
    })
  }
  return { ...(await loadYaml(file, baseSchema)).value, name: baseName }
}
