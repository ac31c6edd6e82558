import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { removeTrees } from './namespace.ts'
import { makeFolder } from './tree.ts'

/** The digest of everything that goes into a layer: any JSON value, with the step's own script among it. */
export function layerKey(inputs: unknown): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 32)
}

/** Finished intermediate results of builds, one folder each, named by what went in. */
export class Layers {
  readonly folder: string
  /** False: nothing built before is used (`--no-cache`); results are still kept for later builds. */
  readonly reuse: boolean
  /** The layers that were made, not found, since this was created. */
  readonly made: string[] = []
  /** Where this build's own results are, by their final place. */
  readonly #fresh = new Map<string, string>()

  constructor(folder: string, reuse: boolean) {
    this.folder = folder
    this.reuse = reuse
  }

  /**
   * The folder of layer `kind`/`key`. When it is not there, `make` fills a folder in the work folder, which is then
   * moved to its place in one step; of two builds that make the same layer at once, the first one's is kept.
   */
  async get(
    kind: string,
    key: string,
    scratch: string,
    make: (folder: string) => Promise<void>,
  ): Promise<string> {
    const final = join(this.folder, `${kind}-${key}`)
    const fresh = this.#fresh.get(final)
    if (fresh !== undefined) return fresh
    if (this.reuse && existsSync(final)) {
      // The time of last use, which `prune` goes by.
      await utimes(final, new Date(), new Date()).catch(() => {})
      return final
    }
    const partial = join(scratch, `layer-${kind}`)
    await makeFolder(partial)
    await make(partial)
    this.made.push(kind)
    await mkdir(dirname(final), { recursive: true })
    let folder = final
    try {
      await rename(partial, final)
    } catch (error) {
      if (!existsSync(final)) throw error
      // Made anew on purpose: this build goes on with what it made, from its own folder.
      if (!this.reuse) folder = partial
    }
    this.#fresh.set(final, folder)
    return folder
  }

  /** Removes the layers that no build has used for `days`: definitions move on, and nobody asks for theirs again. */
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
