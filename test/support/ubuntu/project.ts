import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Document, isMap, parseDocument } from 'yaml'
import { copyProject } from '../builds.ts'
import type { UbuntuArchive } from './archive.ts'

/**
 * Copies what a build reads of this checkout into `target` and points it at `archive`: Ubuntu's keyring, URL and key
 * of the repository kubernetes, URLs of the artifact etcd. Nothing else differs from what a user has; `archive.env`
 * names the mirror. A lock that the checkout has is one of the real archives: lock first. Returns `target`.
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
  })
  // The real key, if the checkout has it: the first lock fetches the archive's.
  await rm(join(images, 'kubernetes-node/keys'), { recursive: true, force: true })
  await edit(join(images, 'etcd/image.yaml'), (image) => {
    const release = `${archive.url}etcd/v{version}/`
    const urls = [`${release}etcd-v{version}-linux-amd64.tar.gz`]
    replace(image, ['artifacts', 'etcd'], { urls, checksums: `${release}SHA256SUMS` })
    // A digest that the definition pins is that of the real file.
    image.deleteIn(['artifacts', 'etcd', 'sha256'])
  })
  return target
}

async function edit(file: string, change: (document: Document) => void): Promise<void> {
  const document = parseDocument(await readFile(file, 'utf8'))
  change(document)
  await writeFile(file, document.toString())
}

/** Gives fields that are there other values. */
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
