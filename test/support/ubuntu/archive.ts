import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadImage } from '../../../src/image/definition.ts'
import { createKey, type SigningKey } from '../archive/key.ts'
import { type FileServer, serveFiles } from '../archive/server.ts'
import { type Registry, startRegistry } from '../registry/registry.ts'
import { checkout } from '../seeder.ts'
import { publishComponents } from './components.ts'
import { type Release, readDebian } from './debian.ts'
import { placeDebian, placeKernel } from './pool.ts'
import { type Flaws, publishSuite, SUITES } from './suites.ts'

/**
 * The sources of the images on Ubuntu, on loopback: below `url`, `ubuntu/` is an archive in Ubuntu's form made of Debian's
 * packages, `kubernetes/vLINE/` a repository in the form of the Kubernetes project, `etcd/vVERSION/` a release of etcd.
 * `server` can simulate faults; its paths are those below `url`.
 */
export interface UbuntuArchive {
  readonly url: string
  readonly folder: string
  readonly server: FileServer
  readonly keys: { readonly ubuntu: SigningKey; readonly kubernetes: SigningKey }
  /** The environment for a run of seeder. */
  readonly env: Readonly<Record<string, string>>
  /** The path of a package's file below `url`, in its newest version. */
  path(name: string): string
  /** Publishes a suite again, without flaws or with some. */
  publish(suite: string, flaws?: Flaws): Promise<void>
  close(): Promise<void>
}

/** What an archive is made of. */
export interface ArchiveOptions {
  /** Debian's release. */
  readonly release?: Release
  /** Whether a registry has the container images of Kubernetes, for nodes that found a cluster. */
  readonly containerImages?: boolean
}

export const UBUNTU_BASE = 'ubuntu-resolute'

/**
 * Makes an archive with everything that `images` (names) need on Ubuntu, in all their lines. Reads the machine's Debian
 * mirror, and keeps the packages in a cache.
 */
export async function createUbuntuArchive(
  images: readonly string[],
  { release = 'trixie', containerImages = false }: ArchiveOptions = {},
): Promise<UbuntuArchive> {
  const root = await mkdtemp(join(tmpdir(), 'seeder-ubuntu-'))
  const folder = join(root, 'www')
  const keys = { ubuntu: await createKey('ubuntu'), kubernetes: await createKey('kubernetes') }
  let registry: Registry | undefined
  const close = async (server?: FileServer) => {
    await server?.close()
    await registry?.close()
    await Promise.all([keys.ubuntu.discard(), keys.kubernetes.discard()])
    await rm(root, { recursive: true, force: true })
  }
  try {
    const apt = join(root, 'apt')
    await mkdir(apt)
    const debian = await readDebian(apt, release)
    const date = new Date(debian.date * 1000)
    const loaded = await Promise.all(images.map((name) => loadImage(checkout, name, { base: UBUNTU_BASE })))
    const entries = [
      ...(await placeDebian(root, folder, loaded, debian)),
      ...(await placeKernel(root, folder, release)),
    ]
    const ubuntu = { folder: join(folder, 'ubuntu'), entries, date, key: keys.ubuntu }
    for (const suite of SUITES) await publishSuite(ubuntu, suite)
    if (containerImages) {
      const place = join(root, 'registry')
      await mkdir(place)
      registry = await startRegistry(place)
    }
    await publishComponents({ root, folder, debian, registry }, images, keys.kubernetes)
    const server = await serveFiles(folder)
    return {
      url: server.url,
      folder,
      server,
      keys,
      env: {
        SEEDER_MIRROR_UBUNTU: `${server.url}ubuntu/`,
        ...(registry ? { SEEDER_MIRROR_REGISTRY_K8S_IO: registry.url } : {}),
      },
      path(name) {
        const filename = entries
          .findLast((entry) => entry.name === name)
          ?.paragraph.match(/^Filename: (.+)$/m)?.[1]
        if (filename === undefined) throw new Error(`the archive has no ${name}`)
        return `ubuntu/${filename}`
      },
      publish: (suite, flaws) => publishSuite(ubuntu, suite, flaws),
      close: () => close(server),
    }
  } catch (error) {
    await close()
    throw error
  }
}
