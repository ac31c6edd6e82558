import { lstat, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import { execa } from '../process/child-process.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import { sha256File } from '../store/digest.ts'
import type { Store } from '../store/store.ts'
import type { TreeFile } from './tree.ts'

/** A file of the image from an upstream artifact. */
export type ArtifactFile = TreeFile & { readonly artifact: string }

/**
 * Unpacks the files that a definition names from the locked tarballs into `scratch`, and nothing else of them. An artifact that
 * is no tarball is a file of the image itself.
 * @throws SeederError when a file is not in its tarball, or is no plain file
 */
export async function unpackArtifacts(
  image: Image,
  lock: Lock,
  store: Store,
  scratch: string,
): Promise<ArtifactFile[]> {
  const files: ArtifactFile[] = []
  for (const { name, version, files: wanted } of image.artifacts) {
    const locked = lock.artifacts.find((other) => other.name === name && other.version === version)
    if (!locked) {
      throw new SeederError(`The lock of ${image.name} does not have the artifact ${name} ${version}`, {
        fix: `run: ${['scripts/seeder lock', image.name, ...image.lockOptions].join(' ')}`,
      })
    }
    const whole = store.path(locked.sha256)
    if (typeof wanted === 'string') {
      files.push({ path: wanted, source: whole, sha256: locked.sha256, mode: 0o644, artifact: name })
      continue
    }
    const folder = join(scratch, 'artifacts', name)
    await mkdir(folder, { recursive: true })
    await unpackMembers(`${name} ${version}`, whole, Object.keys(wanted), folder)
    for (const [from, to] of Object.entries(wanted)) {
      const source = join(folder, from)
      const found = await lstat(source)
      if (!found.isFile()) {
        throw new SeederError(`${from} in ${name} ${version} is not a plain file`, {
          fix: 'name the file itself in files of image.yaml',
        })
      }
      files.push({
        path: to,
        source,
        sha256: await sha256File(source),
        artifact: name,
        mode: found.mode & 0o100 ? 0o755 : 0o644,
      })
    }
  }
  return files
}

async function unpackMembers(
  title: string,
  tarball: string,
  members: readonly string[],
  folder: string,
): Promise<void> {
  const argv = ['-xf', tarball, '-C', folder, '--no-same-owner', '--', ...members]
  const { exitCode, stderr } = await execa('tar', argv, {
    reject: false,
    env: { LC_ALL: 'C.UTF-8' },
    cancelSignal: interruption,
  })
  interruption.throwIfAborted()
  if (exitCode === 0) return
  const reason = stderr.split('\n').find(Boolean) ?? `tar ended with ${exitCode}`
  throw new SeederError(`Unpacking ${title} failed: ${reason}`, {
    fix: 'check the names below files in image.yaml',
  })
}
