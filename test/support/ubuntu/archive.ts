import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadImage } from '../../../src/image/definition.ts'
import { createKey, type SigningKey } from '../archive/key.ts'
import { type FileServer, serveFiles } from '../archive/server.ts'
import { checkout } from '../seeder.ts'
import { publishComponents } from './components.ts'
import { readDebian } from './debian.ts'
import { placeDebian, placeKernel } from './pool.ts'
import { type Flaws, publishSuite, SUITES } from './suites.ts'

/**
 * What the images on Ubuntu are made of, on loopback: below `url`, `ubuntu/` is an archive in Ubuntu's shape made of
 * Debian's packages, `kubernetes/vLINE/` a repository in the Kubernetes project's, `etcd/vVERSION/` a release of etcd.
 * `server` can be told to misbehave; its paths are those below `url`.
 */
export interface UbuntuArchive {
  readonly url: string
  readonly folder: string
  readonly server: FileServer
  readonly keys: { readonly ubuntu: SigningKey; readonly kubernetes: SigningKey }
  /** What a run of seeder needs in its environment. */
  readonly env: Readonly<Record<string, string>>
  /** The path of a package's file below `url`, in its newest version. */
  path(name: string): string
  /** Publishes a suite again, as it should be or with flaws. */
  publish(suite: string, flaws?: Flaws): Promise<void>
  close(): Promise<void>
}

export const UBUNTU_BASE = 'ubuntu-resolute'

/**
 * Makes an archive with all that locking and building `images` (names) on Ubuntu takes, in all their lines. Reads the
 * machine's Debian mirror; what it fetches from there it keeps in a cache that it does not need.
 */
export async function createUbuntuArchive(images: readonly string[]): Promise<UbuntuArchive> {
  const root = await mkdtemp(join(tmpdir(), 'seeder-ubuntu-'))
  const folder = join(root, 'www')
  const keys = { ubuntu: await createKey('ubuntu'), kubernetes: await createKey('kubernetes') }
  const close = async (server?: FileServer) => {
    await server?.close()
    await Promise.all([keys.ubuntu.discard(), keys.kubernetes.discard()])
    await rm(root, { recursive: true, force: true })
  }
  try {
    const apt = join(root, 'apt')
    await mkdir(apt)
    const debian = await readDebian(apt)
    const date = new Date(debian.date * 1000)
    const loaded = await Promise.all(images.map((name) => loadImage(checkout, name, { base: UBUNTU_BASE })))
    const entries = [...(await placeDebian(folder, loaded, debian)), ...(await placeKernel(root, folder))]
    for (const suite of SUITES) {
      await publishSuite(join(folder, 'ubuntu'), suite, entries, date, keys.ubuntu)
    }
    await publishComponents({ root, folder, debian }, images, keys.kubernetes)
    const server = await serveFiles(folder)
    return {
      ...{ url: server.url, folder, server, keys, env: { SEEDER_MIRROR_UBUNTU: `${server.url}ubuntu/` } },
      path(name) {
        const filename = entries
          .findLast((one) => one.name === name)
          ?.paragraph.match(/^Filename: (.+)$/m)?.[1]
        if (filename === undefined) throw new Error(`the archive has no ${name}`)
        return `ubuntu/${filename}`
      },
      publish: (suite, flaws) =>
        publishSuite(join(folder, 'ubuntu'), suite, entries, date, keys.ubuntu, flaws),
      close: () => close(server),
    }
  } catch (error) {
    await close()
    throw error
  }
}
