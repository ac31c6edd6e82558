import { join } from 'node:path'
import { type Image, loadImage } from '../../../src/image/definition.ts'
import { imageSchema } from '../../../src/image/schema.ts'
import { loadYaml } from '../../../src/yaml/yaml-file.ts'
import type { SigningKey } from '../archive/key.ts'
import { checkout } from '../seeder.ts'
import type { Debian } from './debian.ts'
import { unpackDebian } from './debs.ts'
import { publishEtcd } from './etcd.ts'
import { kubernetesPackages } from './kubernetes.ts'
import { placeDeb } from './pool.ts'
import { publishFlat } from './suites.ts'

/** Where the components of a test's archive are made. */
interface Place {
  /** For what is left while it works. */
  readonly root: string
  /** What is served. */
  readonly folder: string
  readonly debian: Debian
}

/** The Kubernetes repository and etcd's releases, as far as one of `images` (names) takes something from there. */
export async function publishComponents(
  place: Place,
  images: readonly string[],
  key: SigningKey,
): Promise<void> {
  const variants = (await Promise.all(images.map(imageLines))).flat()
  const fromRepository = variants.filter((one) => one.repositories.some(({ name }) => name === 'kubernetes'))
  await publishKubernetes(
    place,
    fromRepository.flatMap(({ line }) => line ?? []),
    key,
  )
  const artifacts = variants.flatMap((one) => one.artifacts).filter((one) => one.name === 'etcd')
  await publishEtcdReleases(
    place,
    artifacts.map((one) => one.version),
  )
}

async function publishKubernetes(place: Place, minors: readonly string[], key: SigningKey): Promise<void> {
  if (minors.length === 0) return
  const { root, debian } = place
  const [kubectl = '', plugins = ''] = await unpackDebian(root, debian, [
    'kubectl',
    'containernetworking-plugins',
  ])
  for (const minor of minors) {
    const folder = join(place.folder, 'kubernetes', `v${minor}`)
    const paragraphs: string[] = []
    for (const one of await kubernetesPackages(`${minor}.1`, { kubectl, plugins })) {
      paragraphs.push(await placeDeb(root, folder, 'amd64', one))
    }
    await publishFlat(folder, `kubernetes:v${minor}`, paragraphs, new Date(debian.date * 1000), key)
  }
}

async function publishEtcdReleases(place: Place, versions: readonly string[]): Promise<void> {
  if (versions.length === 0) return
  const [server = '', client = ''] = await unpackDebian(place.root, place.debian, [
    'etcd-server',
    'etcd-client',
  ])
  const programs = [
    join(server, 'usr/bin/etcd'),
    join(client, 'usr/bin/etcdctl'),
    join(server, 'usr/bin/etcdutl'),
  ]
  for (const version of versions) await publishEtcd(join(place.folder, 'etcd'), version, programs)
}

/** An image of this checkout in each of its lines. */
async function imageLines(name: string): Promise<Image[]> {
  const { lines } = (await loadYaml(join(checkout, 'images', name, 'image.yaml'), imageSchema)).value
  const variants = lines?.map((line) => ({ line })) ?? [{}]
  return Promise.all(variants.map((variant) => loadImage(checkout, name, variant)))
}
