import { join } from 'node:path'
import { type Image, loadImage } from '../../../src/image/definition.ts'
import { imageSchema } from '../../../src/image/schema.ts'
import { loadYaml } from '../../../src/yaml/yaml-file.ts'
import type { SigningKey } from '../archive/key.ts'
import { goPrograms } from '../programs/build.ts'
import type { Registry } from '../registry/registry.ts'
import { checkout } from '../seeder.ts'
import { kubernetesImages } from './container-images.ts'
import type { Debian } from './debian.ts'
import { publishEtcd } from './etcd.ts'
import { kubernetesPackages } from './kubernetes.ts'
import { placeDeb } from './place-deb.ts'
import { publishFlat } from './suites.ts'

/** The folders in which the components of an archive are made. */
interface Place {
  /** For temporary files. */
  readonly root: string
  /** The served folder. */
  readonly folder: string
  readonly debian: Debian
  /** Gets the container images of Kubernetes, if there is one. */
  readonly registry: Registry | undefined
}

/**
 * Publishes the Kubernetes repository and etcd's releases, if one of `images` (names) uses them: of Kubernetes the newest
 * minor version, of etcd each that the image can have.
 */
export async function publishComponents(
  place: Place,
  images: readonly string[],
  key: SigningKey,
): Promise<void> {
  const variants = (await Promise.all(images.map(imageLines))).flat()
  const fromRepository = variants.find(({ repositories }) =>
    repositories.some(({ name }) => name === 'kubernetes'),
  )
  if (fromRepository) await publishKubernetes(place, fromRepository.line, key)
  for (const { artifacts, line } of variants) {
    const etcd = artifacts.find(({ name }) => name === 'etcd')
    if (etcd) await publishEtcdRelease(place, line, etcd.version)
  }
}

async function publishKubernetes(
  { root, folder: served, debian, registry }: Place,
  line: string | undefined,
  key: SigningKey,
): Promise<void> {
  if (line !== '1.37') throw new Error(`test/programs has no Kubernetes ${line}`)
  const folder = join(served, 'kubernetes', `v${line}`)
  const paragraphs: string[] = []
  for (const source of await kubernetesPackages(line)) {
    paragraphs.push(await placeDeb(root, folder, 'amd64', source))
  }
  const archive = { folder, date: new Date(debian.date * 1000), key }
  await publishFlat(archive, `kubernetes:v${line}`, paragraphs)
  if (registry) await kubernetesImages(root, debian, line, registry)
}

async function publishEtcdRelease(place: Place, line: string | undefined, wanted: string): Promise<void> {
  if (line !== '3.7' && line !== '3.6') throw new Error(`test/programs has no etcd ${line}`)
  const { version, folder, names } = await goPrograms(`etcd-${line}`)
  if (version !== wanted) throw new Error(`the etcd image names ${wanted}, and test/programs has ${version}`)
  const programs = names.map((name) => join(folder, name))
  await publishEtcd(join(place.folder, 'etcd'), version, programs)
}

/** The variants of an image of this checkout, one for each line. */
async function imageLines(name: string): Promise<Image[]> {
  const { lines } = (await loadYaml(join(checkout, 'images', name, 'image.yaml'), imageSchema)).value
  const variants = lines?.map((line) => ({ line })) ?? [{}]
  return Promise.all(variants.map((variant) => loadImage(checkout, name, variant)))
}
