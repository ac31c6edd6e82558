import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { UsageError } from '../report/error.ts'
import { loadYaml } from '../yaml.ts'
import { quoteValue } from '../yaml-issue.ts'

/** Text of a certain form; `form` says in an error what would do. */
function text(pattern: RegExp, form: string) {
  return z.string().regex(pattern, { error: (issue) => `found ${quoteValue(issue.input)}; give ${form}` })
}

const packageName = text(/^[a-z0-9][a-z0-9+.-]+$/, 'the name of a Debian package')
const unitName = text(
  /^[\w@.:-]+\.(service|timer|socket|target|path|mount|automount)$/,
  'the name of a unit with its kind, as in ssh.service',
)
const name = text(/^[a-z][a-z0-9-]*$/, 'lower-case letters, digits and dashes')

const services = z
  .strictObject({
    enable: z.array(unitName).default([]),
    disable: z.array(unitName).default([]),
    mask: z.array(unitName).default([]),
  })
  .prefault({})

const baseSchema = z.strictObject({
  distribution: name,
  suite: name,
  components: z.array(name).min(1),
  pockets: z.array(z.strictObject({ archive: name, suite: name })).min(1),
  keyring: z.string().startsWith('/'),
  kernel: packageName,
  packages: z.array(packageName),
  exclude: z.array(z.string().startsWith('/')).default([]),
  services,
  tools: z.array(packageName).min(1),
})

const imageSchema = z.strictObject({
  description: z.string(),
  base: name,
  role: name,
  version: z.strictObject({ package: packageName, revision: z.int().min(1) }),
  packages: z.array(packageName),
  exclude: z.array(z.string().startsWith('/')).default([]),
  services,
})

/** `images/base/NAME.yaml`: distribution, archives, kernel, what all images on it share, and the build's tools. */
export type Base = z.output<typeof baseSchema> & { readonly name: string }

/** `images/NAME/image.yaml` with its base resolved. */
export interface Image extends Omit<z.output<typeof imageSchema>, 'base'> {
  readonly name: string
  readonly base: Base
  /** The image's folder: `image.yaml`, its lock, and `tree/`, the files it adds. */
  readonly folder: string
  /** The lock that belongs to this image on this base. */
  readonly lockFile: string
  /** Folders whose files are laid over the packages' files, later ones last. */
  readonly trees: readonly string[]
}

/**
 * Reads an image's definition and its base's.
 * `project` is the folder with `images/`; `baseName` replaces the base the definition names.
 * Throws UsageError for an unknown image or base (listing the known ones) and for anything the schemas reject.
 */
export async function loadImage(project: string, imageName: string, baseName?: string): Promise<Image> {
  const folder = join(project, 'images', imageName)
  const file = join(folder, 'image.yaml')
  if (!/^[a-z][a-z0-9-]*$/.test(imageName) || !existsSync(file)) {
    throw new UsageError(`There is no image "${imageName}" in ${join(project, 'images')}`, {
      fix: `use one of: ${(await imageNames(project)).join(', ') || '(none found; is this a Seeder project?)'}`,
    })
  }
  const definition = (await loadYaml(file, imageSchema)).value
  const chosen = baseName ?? definition.base
  return {
    ...definition,
    name: imageName,
    base: await loadBase(project, chosen),
    folder,
    lockFile: join(folder, chosen === definition.base ? 'image.lock.json' : `image.${chosen}.lock.json`),
    trees: [join(project, 'images', 'common', 'tree'), join(folder, 'tree')].filter(existsSync),
  }
}

/** The names of the images a project defines, sorted. */
export async function imageNames(project: string): Promise<string[]> {
  const images = join(project, 'images')
  const entries = await readdir(images).catch(() => [])
  return entries.filter((entry) => existsSync(join(images, entry, 'image.yaml'))).sort()
}

async function loadBase(project: string, baseName: string): Promise<Base> {
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

/** The packages that are asked for by name: the kernel, the base's and the image's, sorted, each once. */
export function requestedPackages(image: Image): string[] {
  return [...new Set([image.base.kernel, ...image.base.packages, ...image.packages])].sort()
}
