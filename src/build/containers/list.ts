import { join } from 'node:path'
import { fillIn } from '../../image/artifact.ts'
import type { Image } from '../../image/definition.ts'
import type { Lock } from '../../image/lock.ts'
import type { Mirrors } from '../../image/mirrors.ts'
import { SeederError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { Store } from '../../store/store.ts'
import { shellQuote } from '../enclosure.ts'
import { fillStore } from '../fetch.ts'
import { Layers } from '../layers.ts'
import { requireNamespaces, runInside } from '../namespace.ts'
import { unpackTools } from '../tools.ts'
import { withWorkFolder } from '../work.ts'

/** What `listContainers` works with: Seeder's cache folder, and where packages come from. */
export interface ListOptions {
  readonly cache: string
  readonly mirrors: Mirrors
  readonly progress: Progress
}

/**
 * What the program of a definition prints of the container images that its version uses: kubeadm knows which. The program
 * comes from the locked package, and runs in the enclosure of a build: without a network and without the caller's files.
 * @param lock the packages and tools that were just resolved
 * @returns its standard output; empty when the definition names no program
 * @throws SeederError when the package is not in the lock or cannot be fetched, or when the program fails
 */
export async function listContainers(image: Image, lock: Lock, options: ListOptions): Promise<string> {
  const list = image.containers?.list
  if (!list) return ''
  const locked = lock.packages.find(({ name }) => name === list.package)
  if (!locked) {
    throw new SeederError(
      `${list.package} lists the container images of ${image.name}, which does not install it`,
      {
        fix: 'add it to packages in image.yaml, or correct containers.list',
      },
    )
  }
  await requireNamespaces()
  return withWorkFolder(join(options.cache, 'work'), async (scratch) => {
    const store = new Store(join(options.cache, 'store'), scratch)
    const { mirrors, progress } = options
    await fillStore(store, [locked, ...lock.tools], { findMirrors: async () => mirrors, progress })
    const layers = new Layers(join(options.cache, 'layers'), true)
    const tools = await unpackTools(lock, store, layers, scratch)
    const version = lock.version.replace(/-[^-]*$/, '')
    const [program = '', ...argv] = list.command.map((word) => shellQuote(fillIn(word, { version })))
    const script = [
      'mkdir /tmp/package',
      'dpkg-deb --fsys-tarfile /tmp/deb | tar -x -C /tmp/package',
      ['exec', `/tmp/package${program}`, ...argv].join(' '),
    ].join('\n')
    const binds = [{ from: store.path(locked.sha256), to: '/tmp/deb' }]
    const printed = await runInside(
      { tools: tools.folder, binds },
      `Listing the container images with ${list.package}`,
      script,
    )
    await layers.keep()
    return printed
  })
}
