import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { copyFile, link, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Store } from '../../build/store.ts'
import type { BundleFile } from '../../bundle/index.ts'
import { pack } from '../../bundle/write.ts'
import { workIn } from '../../disk-error.ts'
import { SeederError } from '../../report/error.ts'
import { makeRunFolder } from '../../run-folder.ts'
import type { Pack } from '../contents.ts'
import { describeInParts, type LocalAsset } from '../local.ts'
import { packSize, spansOf } from './layout.ts'

/** A pack as a release gets it. */
export interface LocalPack {
  readonly file: Pack
  readonly assets: readonly LocalAsset[]
}

/**
 * Makes a pack of files in the package store of `cache`, which is there while `use` runs. The same files give the same
 * bytes.
 * Throws SeederError when a file is not in the store, or is damaged there.
 */
export async function withPack<T>(
  name: string,
  members: readonly BundleFile[],
  { cache, partSize }: { cache: string; partSize?: number | undefined },
  use: (made: LocalPack) => Promise<T>,
): Promise<T> {
  const scratch = await makeRunFolder(join(cache, 'work'))
  try {
    const made = await workIn(scratch, () => makePack(name, members, cache, scratch, partSize))
    return await use(made)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function makePack(
  name: string,
  members: readonly BundleFile[],
  cache: string,
  scratch: string,
  partSize: number | undefined,
): Promise<LocalPack> {
  const store = new Store(join(cache, 'store'), scratch)
  const staging = join(scratch, 'members')
  await mkdir(staging)
  for (const member of members) {
    const { sha256, size } = member
    if (!(await store.has(sha256, size))) throw unavailable(member, 'is not in the package store')
    await link(store.path(sha256), join(staging, sha256)).catch(() =>
      copyFile(store.path(sha256), join(staging, sha256)),
    )
  }
  const path = join(scratch, name)
  // No time of its own: what a release adds is the same whenever it is published.
  await pack(
    staging,
    members.map(({ sha256 }) => sha256),
    0,
    path,
  )
  await requireMembers(path, members)
  await rm(staging, { recursive: true })
  const { file, assets } = await describeInParts(path, name, partSize, () => undefined)
  const size = packSize(members)
  if (file.size !== size) throw new SeederError(`${name} has ${file.size} bytes, and not ${size}`)
  return { file: { ...file, members: members.map(({ sha256, size }) => ({ sha256, size })) }, assets }
}

/** Compares the bytes that are about to be sent, at the places where they are looked for later. */
async function requireMembers(path: string, members: readonly BundleFile[]): Promise<void> {
  for (const [index, { start, size, sha256 }] of spansOf(members).entries()) {
    const hash = createHash('sha256')
    if (size > 0) {
      for await (const chunk of createReadStream(path, { start, end: start + size - 1 })) hash.update(chunk)
    }
    const member = members[index]
    if (member && hash.digest('hex') !== sha256) throw unavailable(member, 'is damaged in the package store')
  }
}

function unavailable({ name, path }: BundleFile, what: string): SeederError {
  return new SeederError(`${name ?? path} ${what}, and no release has it yet`, {
    fix: 'build the image again on this machine, which puts it there; or publish without the files of its bundle: --bundle none',
  })
}
