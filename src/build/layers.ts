import { hash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { lstat, mkdir, readdir, readFile, readlink, rename, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { SeederError } from '../report/error.ts'
import { sha256File } from '../store/digest.ts'
import { removeTrees } from './namespace.ts'
import { makeFolder } from './tree.ts'

/** The layers of a build, in their order. */
export const LAYERS = ['tools', 'rootfs', 'initrd', 'usr'] as const

export type LayerKind = (typeof LAYERS)[number]

/** The key of a layer: the digest of all its inputs, a JSON value that includes the step's script. */
export function layerKey(inputs: unknown): string {
  return hash('sha256', JSON.stringify(inputs)).slice(0, 32)
}

/**
 * Cached results of build steps. Each is a folder named by its key, with `content/` and its digest, `sha256`. The digests are
 * calculated while the build continues: await `verify` before anything is published, and `keep` before the scratch folder is
 * removed.
 */
export class Layers {
  readonly folder: string
  /** False with `--no-cache`: no cached layer is used; new ones are still kept for later builds. */
  readonly reuse: boolean
  /** The layers that this build made. */
  readonly made: LayerKind[] = []
  /** The layers of this build by their final path: the current path and the digest. */
  readonly #fresh = new Map<string, { partial: string; digest: Promise<string> }>()
  /** The checks of the cached layers in use; each resolves to what is wrong. */
  readonly #checks = new Map<string, Promise<string | undefined>>()

  constructor(folder: string, reuse: boolean) {
    this.folder = folder
    this.reuse = reuse
  }

  /**
   * The folder of a layer. When it is not cached, `make` fills one in the scratch folder, readable by every user. A cached
   * layer is compared with its digest, except rootfs: most builds have its /usr already, and `check` is called when it is
   * unpacked.
   */
  async get(
    kind: LayerKind,
    key: string,
    scratch: string,
    make: (folder: string) => Promise<void>,
  ): Promise<string> {
    const final = join(this.folder, `${kind}-${key}`)
    const fresh = this.#fresh.get(final)
    if (fresh !== undefined) return join(fresh.partial, 'content')
    if (this.reuse && existsSync(join(final, 'sha256'))) {
      // The time of the last use, for `prune`.
      await utimes(final, new Date(), new Date()).catch(() => {})
      if (kind !== 'rootfs') this.check(join(final, 'content'))
      return join(final, 'content')
    }
    const partial = join(scratch, `layer-${kind}`)
    const content = join(partial, 'content')
    await makeFolder(content)
    await make(content)
    this.made.push(kind)
    const digest = digestFolder(content)
    // `keep` awaits it; until then an error must not end the process.
    digest.catch(() => {})
    this.#fresh.set(final, { partial, digest })
    return content
  }

  /** Starts to compare a cached layer with its digest; does nothing for a layer that this build made. */
  check(content: string): void {
    const layer = join(content, '..')
    const own = [...this.#fresh.values()].some(({ partial }) => partial === layer)
    if (own || this.#checks.has(layer)) return
    this.#checks.set(
      layer,
      compare(layer).catch(
        (error: unknown) => `it cannot be read: ${error instanceof Error ? error.message : error}`,
      ),
    )
  }

  /**
   * Waits for all checks.
   * @throws SeederError when a layer has changed since it was made
   */
  async verify(): Promise<void> {
    for (const [layer, check] of this.#checks) {
      const wrong = await check
      if (wrong === undefined) continue
      throw new SeederError(`The build used the layer ${layer} of the cache; ${wrong}`, {
        fix: `it has changed since it was made: remove ${layer}, find out who can write there, and build again`,
      })
    }
  }

  /**
   * Moves the new layers into the cache, each atomically. When two builds made the same layer, the first one is kept.
   */
  async keep(): Promise<void> {
    await mkdir(this.folder, { recursive: true })
    for (const [final, { partial, digest }] of this.#fresh) {
      await writeFile(join(partial, 'sha256'), await digest)
      // Earlier versions of Seeder wrote no digest.
      if (existsSync(final) && !existsSync(join(final, 'sha256'))) await removeTrees([final])
      await rename(partial, final).catch((error: unknown) => {
        if (!existsSync(final)) throw error
      })
    }
    this.#fresh.clear()
  }

  /** Removes the layers that no build has used for `days`. */
  async prune(days: number): Promise<void> {
    const oldest = Date.now() - days * 24 * 3600 * 1000
    const unused: string[] = []
    for (const entry of await readdir(this.folder).catch(() => [])) {
      const path = join(this.folder, entry)
      const used = (await stat(path).catch(() => undefined))?.mtimeMs
      if (used !== undefined && used < oldest) unused.push(path)
    }
    await removeTrees(unused)
  }
}

async function compare(layer: string): Promise<string | undefined> {
  const recorded = (await readFile(join(layer, 'sha256'), 'utf8')).trim()
  const found = await digestFolder(join(layer, 'content'))
  return found === recorded ? undefined : `its content has the sha256 ${found}, not ${recorded}`
}

/** Bytes. Smaller files are read whole: there are thousands of them, and a stream for each is slower. */
const SMALL = 1 << 20

/**
 * The SHA-256 (hex) of a folder: names, types, modes, targets of links and contents, without owners and times. Files that
 * cannot be in a layer (pipes, devices) count by their type.
 */
async function digestFolder(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort()
  const lines = await pMap(paths, async (path) => [path.slice(folder.length), ...(await describe(path))], {
    concurrency: 8,
  })
  return hash('sha256', JSON.stringify(lines))
}

async function describe(path: string): Promise<readonly (string | number)[]> {
  const found = await lstat(path)
  const mode = found.mode & 0o7777
  if (found.isSymbolicLink()) return ['link', await readlink(path)]
  if (found.isDirectory()) return ['folder', mode]
  if (!found.isFile()) return ['other', found.mode]
  return ['file', mode, found.size <= SMALL ? hash('sha256', await readFile(path)) : await sha256File(path)]
}
