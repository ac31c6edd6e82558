import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { inject } from 'vitest'
import type { Manifest } from '../../../src/build/manifest.ts'
import { readManifest } from '../builds.ts'
import { seeder } from '../seeder.ts'
import { createUbuntuArchive, UBUNTU_BASE } from '../ubuntu/archive.ts'
import { ubuntuProject } from '../ubuntu/project.ts'

/** A finished image of a test. */
export interface BuiltImage {
  readonly out: string
  readonly manifest: Manifest
}

/**
 * Images on Ubuntu, made of Debian's next release, in folders below `root`, by name. The first test file that needs an
 * image locks and builds it from a local archive; the others of the same run get its files as hard links.
 * @param containerImages whether nodes have the container images of Kubernetes; the same for all files of a lane
 * @throws Error with the output of seeder
 */
export async function ubuntuImages(
  root: string,
  images: readonly string[],
  containerImages = false,
): Promise<Record<string, BuiltImage>> {
  const shared = inject('sharedImages')
  const missing = images.filter((image) => !existsSync(join(shared, image)))
  if (missing.length > 0) await buildImages(shared, missing, containerImages)
  const found: Record<string, BuiltImage> = {}
  for (const image of images) {
    const out = join(root, image)
    await mkdir(root, { recursive: true })
    await execa('cp', ['--archive', '--link', join(shared, image), out])
    found[image] = { out, manifest: await readManifest(out) }
  }
  return found
}

async function buildImages(
  folder: string,
  images: readonly string[],
  containerImages: boolean,
): Promise<void> {
  const archive = await createUbuntuArchive(images, { release: 'forky', containerImages })
  try {
    const project = await ubuntuProject(join(folder, `project of ${images.join(' ')}`), archive)
    for (const image of images) {
      const base = ['--base', UBUNTU_BASE]
      for (const argv of [
        ['lock', image, ...base],
        ['build', image, '--out', join(folder, image), ...base],
      ]) {
        const { code, stderr } = await seeder(['--verbose', '-C', project, ...argv], { env: archive.env })
        if (code !== 0) throw new Error(`seeder ${argv.join(' ')} failed: ${stderr}`)
      }
    }
  } finally {
    await archive.close()
  }
}
