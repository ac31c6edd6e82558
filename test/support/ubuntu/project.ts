import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Document, isMap, parseDocument } from 'yaml'
import { copyProject } from '../builds.ts'
import type { UbuntuArchive } from './archive.ts'

/**
 * Copies the files of this checkout that a build reads into `target` and makes them use `archive`: Ubuntu's keyring, the URL
 * and key of the repository kubernetes, the URLs of the artifact etcd; container images only where the archive has a
 * registry. `archive.env` sets the mirrors. The locks are those of
 * the real archives: lock first. Returns `target`.
 */
export async function ubuntuProject(target: string, archive: UbuntuArchive): Promise<string> {
  await copyProject(target)
  const images = join(target, 'images')
  await edit(join(images, 'base/ubuntu-resolute.yaml'), (base) => {
    base.set('keyring', archive.keys.ubuntu.keyring)
  })
  await edit(join(images, 'kubernetes-node/image.yaml'), (image) => {
    const url = `${archive.url}kubernetes/v{line}/`
    const key = { url: `${url}Release.key`, fingerprint: archive.keys.kubernetes.fingerprint }
    replace(image, ['repositories', 'kubernetes'], { url })
    replace(image, ['repositories', 'kubernetes', 'key'], key)
    if (!archive.env.SEEDER_MIRROR_REGISTRY_K8S_IO) image.delete('containers')
  })
  // Removes the real key, so that the first lock fetches the archive's.
  await rm(join(images, 'kubernetes-node/keys'), { recursive: true, force: true })
  await edit(join(images, 'etcd/image.yaml'), (image) => {
    const release = `${archive.url}etcd/v{version}/`
    const urls = [`${release}etcd-v{version}-linux-amd64.tar.gz`]
    replace(image, ['artifacts', 'etcd'], { urls, checksums: `${release}SHA256SUMS` })
    // A digest in the definition is that of the real file.
    image.deleteIn(['artifacts', 'etcd', 'sha256'])
  })
  return target
}

async function edit(file: string, change: (document: Document) => void): Promise<void> {
  const document = parseDocument(await readFile(file, 'utf8'))
  change(document)
  await writeFile(file, document.toString())
}

/** Changes the values of existing fields. */
function replace(
  document: Document,
  path: readonly string[],
  values: Readonly<Record<string, unknown>>,
): void {
  const map = document.getIn(path)
  for (const [key, value] of Object.entries(values)) {
    if (!isMap(map) || !map.has(key)) throw new Error(`${path.join('.')} has no ${key}`)
    map.set(key, document.createNode(value))
  }
}
