import { join } from 'node:path'
import type { Manifest } from '../../../src/build/manifest.ts'
import { readManifest } from '../builds.ts'
import { seeder } from '../seeder.ts'
import { createUbuntuArchive } from '../ubuntu/archive.ts'
import { ubuntuProject } from '../ubuntu/project.ts'

/** A finished image of a test. */
export interface BuiltImage {
  readonly out: string
  readonly manifest: Manifest
}

/**
 * Locks and builds images on Ubuntu from a local archive, into folders below `root`, by name.
 * @throws Error with the output of seeder
 */
export async function buildUbuntuImages(
  root: string,
  images: readonly string[],
): Promise<Record<string, BuiltImage>> {
  const archive = await createUbuntuArchive(images)
  try {
    const project = await ubuntuProject(join(root, 'project'), archive)
    const built: Record<string, BuiltImage> = {}
    for (const image of images) {
      const out = join(root, image)
      for (const argv of [
        ['lock', image],
        ['build', image, '--out', out],
      ]) {
        const { code, stderr } = await seeder(['--verbose', '-C', project, ...argv], { env: archive.env })
        if (code !== 0) throw new Error(`seeder ${argv.join(' ')} failed: ${stderr}`)
      }
      built[image] = { out, manifest: await readManifest(out) }
    }
    return built
  } finally {
    await archive.close()
  }
}
