import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BundleFile } from '../../../src/build/bundle/format.ts'
import { sha256 } from '../deploy/image.ts'

/** What an image is built from: path in its bundle → content; of a locked file its name. */
export type Inputs = Readonly<Record<string, Buffer>>

/** Incompressible bytes, as packages are. */
export function someBytes(size: number): Buffer {
  return randomBytes(size)
}

/** A definition, a program and these packages (name → bytes). */
export function inputsOf(definition: string, packages: Inputs): Inputs {
  return {
    'project/platform.yaml': Buffer.from('zones: {}\n'),
    'project/images/haproxy/image.yaml': Buffer.from(definition),
    // The same content at another place, and none at all.
    'project/images/common/platform.yaml': Buffer.from('zones: {}\n'),
    'project/images/common/tree/empty': Buffer.alloc(0),
    'seeder/dist/cli/index.js': Buffer.from('#!/usr/bin/env node\n'),
    ...packages,
  }
}

/** As the list of a bundle has them. A path without a slash is a package. */
export function listOf(inputs: Inputs): BundleFile[] {
  return Object.entries(inputs)
    .map(([path, content]) => {
      const file = { size: content.length, sha256: sha256(content) }
      if (!path.includes('/')) return { path: `store/${file.sha256}`, ...file, name: `${path} 1.0` }
      return { path, ...file, ...(path.startsWith('seeder/') && { executable: true as const }) }
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** Puts them into the package store of a cache, as a build does. */
export async function keepInputs(cache: string, inputs: Inputs): Promise<void> {
  for (const content of Object.values(inputs)) {
    const digest = sha256(content)
    const folder = join(cache, 'store', digest.slice(0, 2))
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, digest), content)
  }
}
