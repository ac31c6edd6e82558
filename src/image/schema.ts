import { z } from 'zod'
import { quoteValue } from '../report/schema-issue.ts'
import { REFERENCE } from './reference.ts'

/** Text that matches a pattern; `form` describes it in an error. */
function text(pattern: RegExp, form: string) {
  return z.string().regex(pattern, { error: (issue) => `found ${quoteValue(issue.input)}; give ${form}` })
}

const packageName = text(/^[a-z0-9][a-z0-9+.-]+$/, 'the name of a Debian package')
const unitName = text(
  /^[\w@.:-]+\.(service|timer|socket|target|path|mount|automount)$/,
  'the name of a unit with its kind, as in ssh.service',
)
const name = text(/^[a-z][a-z0-9-]*$/, 'lower-case letters, digits and dashes')
const line = text(/^\d+\.\d+$/, 'a minor version in quotes, as in "3.7"')
const version = text(/^\d+(\.\d+)+$/, 'a version in quotes, as in "3.7.2"')
const sha256 = text(/^[0-9a-f]{64}$/, 'a SHA-256 digest: 64 hexadecimal digits')
const url = text(/^https?:\/\/[^\s'"]+$/, 'a URL that begins with https:// or http://')
const usrPath = text(/^(?!.*\/\.\.?(\/|$))\/usr\/[\w.+/-]*[\w.+-]$/, 'a path below /usr/')
const rootPath = text(/^\//, 'a path that begins with /')
const memberPath = text(/^(?![-/])(?!.*(^|\/)\.\.(\/|$))[\w.+{}/-]+$/, 'a path in the tarball')

const services = z
  .strictObject({
    enable: z.array(unitName).default([]),
    disable: z.array(unitName).default([]),
    mask: z.array(unitName).default([]),
  })
  .prefault({})

/** `images/base/NAME.yaml`. `tools` is a list of packages, or the base whose tools are used. */
export const baseSchema = z.strictObject({
  distribution: name,
  suite: name,
  components: z.array(name).min(1),
  pockets: z.array(z.strictObject({ archive: name, suite: name })).min(1),
  keyring: rootPath,
  kernel: packageName,
  packages: z.array(packageName),
  exclude: z.array(rootPath).default([]),
  keep: z.array(rootPath).default([]),
  services,
  tools: z.union([z.array(packageName).min(1), name]),
})

const artifact = z.strictObject({
  /** A single version, or a version for each line of the image. */
  version: version.optional(),
  versions: z.record(line, version).optional(),
  /** Tried in this order. Here and below, `{version}` and `{line}` are replaced. */
  urls: z.array(url).min(1),
  /** Upstream's list of digests in the format of sha256sum, read by `lock`. */
  checksums: url.optional(),
  /** The digest of the version, or of each version. */
  sha256: z.union([sha256, z.record(version, sha256)]).optional(),
  /** For a tarball: path in it → path in the image. */
  files: z.record(memberPath, usrPath).optional(),
  /** For any other file, such as a container image: its path in the image. */
  file: usrPath.optional(),
})

const containerName = text(/^[a-z0-9][a-z0-9._-]*$/, 'the last part of a repository’s name, as in kube-proxy')

const containers = z.strictObject({
  /**
   * What prints the references of images, a line each: a program of one of the image's packages. `lock` runs it without a
   * network. `{version}` is that of the image without its revision.
   */
  list: z.strictObject({ package: packageName, command: z.array(z.string()).min(1) }).optional(),
  /** Further images. */
  references: z
    .array(text(REFERENCE, 'a reference with its registry and tag, as in docker.io/library/busybox:1.37'))
    .default([]),
  /** Names of listed images that are left out. */
  exclude: z.array(containerName).default([]),
  /** Role → names of the images that only nodes of this role import. */
  roles: z.record(name, z.array(containerName)).default({}),
})

const repository = z.strictObject({
  url,
  suite: text(/^[\w./-]+$/, 'a suite, or / for a flat repository').default('/'),
  components: z.array(name).default([]),
  /** The key that signs it: `file` in the image's folder, downloaded from `url` when it is missing. */
  key: z.strictObject({
    fingerprint: text(/^[0-9A-F]{40}$/, 'the fingerprint of an OpenPGP key: 40 hexadecimal digits'),
    url: url.optional(),
    file: text(/^keys\/[\w.-]+\.asc$/, 'a file of the image’s folder, as in keys/kubernetes.asc'),
  }),
  /** The only packages that it may provide. */
  packages: z.array(packageName).min(1),
})

/** `images/NAME/image.yaml`. */
export const imageSchema = z.strictObject({
  description: z.string(),
  base: name,
  /** The roles of its clones; the first one determines the size of the template. */
  roles: z.array(name).min(1),
  /** The available minor versions; the first is the default. */
  lines: z.array(line).min(1).optional(),
  version: z.union([
    z.strictObject({ package: packageName, revision: z.int().min(1) }),
    z.strictObject({ artifact: name, revision: z.int().min(1) }),
  ]),
  packages: z.array(packageName),
  artifacts: z.record(name, artifact).default({}),
  /** Container images that nodes import at first boot, without a registry. */
  containers: containers.optional(),
  repositories: z.record(name, repository).default({}),
  /** Package → the oldest allowed upstream version, checked by `lock`. */
  requires: z.record(packageName, version).default({}),
  exclude: z.array(rootPath).default([]),
  keep: z.array(rootPath).default([]),
  /** Files of maintainer scripts that no package owns. Any other file without an owner prevents a release. */
  unowned: z.array(rootPath).default([]),
  services,
})

export type Containers = z.output<typeof containers>
export type BaseDefinition = z.output<typeof baseSchema>
export type ImageDefinition = z.output<typeof imageSchema>
