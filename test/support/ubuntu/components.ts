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
import { placeDeb } from './place-deb.ts'
import { publishFlat } from './suites.ts'

/** The folders in which the components of an archive are made. */
interface Place {
  /** For temporary files. */
  readonly root: string
  /** The served folder. */
  readonly folder: string
  readonly debian: Debian
}

/** Publishes the Kubernetes repository and etcd's releases, if one of `images` (names) uses them. */
export async function publishComponents(
  place: Place,
  images: readonly string[],
  key: SigningKey,
): Promise<void> {
  const variants = (await Promise.all(images.map(imageLines))).flat()
  const fromRepository = variants.filter(({ repositories }) =>
    repositories.some(({ name }) => name === 'kubernetes'),
  )
  await publishKubernetes(
    place,
    fromRepository.flatMap(({ line }) => line ?? []),
    key,
  )
  const artifacts = variants.flatMap((image) => image.artifacts).filter(({ name }) => name === 'etcd')
  await publishEtcdReleases(
    place,
    artifacts.map(({ version }) => version),
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
    for (const source of await kubernetesPackages(`${minor}.1`, { kubectl, plugins })) {
      paragraphs.push(await placeDeb(root, folder, 'amd64', source))
    }
    const archive = { folder, date: new Date(debian.date * 1000), key }
    await publishFlat(archive, `kubernetes:v${minor}`, paragraphs)
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

/** The variants of an image of this checkout, one for each line. */
async function imageLines(name: string): Promise<Image[]> {
  const { lines } = (await loadYaml(join(checkout, 'images', name, 'image.yaml'), imageSchema)).value
  const variants = lines?.map((line) => ({ line })) ?? [{}]
  return Promise.all(variants.map((variant) => loadImage(checkout, name, variant)))
}
