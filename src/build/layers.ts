import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SeederError } from '../report/error.ts'
import { digestFolder } from './layer-digest.ts'
import { removeTrees } from './namespace.ts'
import { makeFolder } from './tree.ts'

/** The layers of a build, in their order. */
export const LAYERS = ['tools', 'rootfs', 'initrd', 'usr'] as const

export type LayerKind = (typeof LAYERS)[number]

/** The digest of everything that goes into a layer: any JSON value, with the step's own script among it. */
export function layerKey(inputs: unknown): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 32)
}

/**
 * Finished intermediate results of builds, one folder each, named by what went in: `content/` and `sha256`, the digest of
 * what is in it. The digests are calculated while the build goes on: `verify` has to be awaited before something is made
 * public of it, and `keep` before the scratch folder goes.
 */
export class Layers {
  readonly folder: string
  /** False: nothing built before is used (`--no-cache`); results are still kept for later builds. */
  readonly reuse: boolean
  /** The layers that were made, not found, since this was created. */
  readonly made: LayerKind[] = []
  /** This build's own results: where they are now, and their digests, by their final place. */
  readonly #fresh = new Map<string, { partial: string; digest: Promise<string> }>()
  /** Of the layers that were found and are used, what is wrong with them. */
  readonly #checks = new Map<string, Promise<string | undefined>>()

  constructor(folder: string, reuse: boolean) {
    this.folder = folder
    this.reuse = reuse
  }

  /**
   * The folder of layer `kind`/`key`. When it is not there, `make` fills one in the scratch folder, which everybody may read.
   * A layer that is found is compared with its digest, from now on or, with `later`, from `check`.
   */
  async get(
    kind: LayerKind,
    key: string,
    scratch: string,
    make: (folder: string) => Promise<void>,
    { later = false } = {},
  ): Promise<string> {
    const final = join(this.folder, `${kind}-${key}`)
    const fresh = this.#fresh.get(final)
    if (fresh !== undefined) return join(fresh.partial, 'content')
    if (this.reuse && existsSync(join(final, 'sha256'))) {
      // The time of last use, which `prune` goes by.
      await utimes(final, new Date(), new Date()).catch(() => {})
      if (!later) this.check(join(final, 'content'))
      return join(final, 'content')
    }
    const partial = join(scratch, `layer-${kind}`)
    const content = join(partial, 'content')
    await makeFolder(content)
    await make(content)
    this.made.push(kind)
    const digest = digestFolder(content)
    // It is awaited by `keep`; an error must not end the process before.
    digest.catch(() => {})
    this.#fresh.set(final, { partial, digest })
    return content
  }

  /** Begins to compare a layer that `get` found with its digest; nothing for one that this build made. */
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

  /** Waits until every layer that was found is compared. Throws SeederError when one is not what it was when it was made. */
  async verify(): Promise<void> {
    for (const [layer, check] of this.#checks) {
      const wrong = await check
      if (wrong === undefined) continue
      throw new SeederError(`The build used the layer ${layer} of the cache; ${wrong}`, {
        fix: `it was changed after it was made: remove ${layer}, find out who can write there, and build again`,
      })
    }
  }

  /**
   * Moves what this build made to its place, each layer in one step, for later builds. Of two builds that made the same
   * layer the first one's is kept.
   */
  async keep(): Promise<void> {
    await mkdir(this.folder, { recursive: true })
    for (const [final, { partial, digest }] of this.#fresh) {
      await writeFile(join(partial, 'sha256'), await digest)
      // Without a digest it is of an earlier Seeder.
      if (existsSync(final) && !existsSync(join(final, 'sha256'))) await removeTrees([final])
      await rename(partial, final).catch((error: unknown) => {
        if (!existsSync(final)) throw error
      })
    }
    this.#fresh.clear()
  }

  /** Removes the layers that no build has used for `days`: definitions move on, and nobody needs theirs again. */
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
