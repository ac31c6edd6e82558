import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { sha256File } from '../../../src/store/digest.ts'

/** A container image in the making: its reference and the tree of its one layer. */
export interface ContainerImage {
  readonly reference: string
  readonly tree: string
  readonly entrypoint?: readonly string[]
  readonly architecture?: string
}

interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

/** https://github.com/opencontainers/image-spec/blob/main/image-layout.md; an image's name is its reference. */
export async function writeLayout(images: readonly ContainerImage[], layout: string): Promise<void> {
  const blobs = join(layout, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  const manifests: unknown[] = []
  for (const image of images) {
    const layer = await addLayer(blobs, image.tree)
    const config = await addJson(blobs, 'application/vnd.oci.image.config.v1+json', {
      architecture: image.architecture ?? 'amd64',
      os: 'linux',
      config: {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        ...(image.entrypoint ? { Entrypoint: image.entrypoint } : {}),
        WorkingDir: '/',
      },
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    })
    const manifest = await addJson(blobs, 'application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers: [layer],
    })
    manifests.push({ ...manifest, annotations: { 'org.opencontainers.image.ref.name': image.reference } })
  }
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }
  await writeFile(join(layout, 'index.json'), JSON.stringify(index))
}

async function addLayer(blobs: string, tree: string): Promise<Blob> {
  const file = join(blobs, 'layer')
  await packTree(tree, file)
  return addBlob(blobs, 'application/vnd.oci.image.layer.v1.tar', file)
}

async function addJson(blobs: string, mediaType: string, value: unknown): Promise<Blob> {
  const file = join(blobs, 'json')
  await writeFile(file, JSON.stringify(value))
  return addBlob(blobs, mediaType, file)
}

async function addBlob(blobs: string, mediaType: string, file: string): Promise<Blob> {
  const digest = await sha256File(file)
  const { size } = await stat(file)
  await rename(file, join(blobs, digest))
  return { mediaType, digest: `sha256:${digest}`, size }
}

async function packTree(tree: string, file: string): Promise<void> {
  const owner = ['--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX']
  await execa('tar', ['--sort=name', '--mtime=@0', ...owner, '-cf', file, '-C', tree, '.'])
}
