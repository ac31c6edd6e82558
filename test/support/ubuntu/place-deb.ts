import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import { sha256File } from '../../../src/store/digest.ts'
import { buildDeb, type DebSource, packDeb } from '../archive/deb.ts'
import { indexParagraph } from '../archive/release.ts'

/** Builds a deb and moves it to `pool`, a path below `archive`. Returns its paragraph of an index. */
export async function placeDeb(
  root: string,
  archive: string,
  pool: string,
  source: DebSource,
): Promise<string> {
  return placeFile(archive, pool, await buildDeb(await mkdtemp(join(root, 'deb-')), source))
}

/** Packs an unpacked package and moves it to `pool`, a path below `archive`. Returns its paragraph of an index. */
export async function placeTree(archive: string, pool: string, tree: string): Promise<string> {
  return placeFile(archive, pool, await packDeb(tree))
}

async function placeFile(archive: string, pool: string, built: string): Promise<string> {
  const filename = `${pool}/${basename(built)}`
  await mkdir(join(archive, pool), { recursive: true })
  await rename(built, join(archive, filename))
  await rm(dirname(built), { recursive: true })
  const file = join(archive, filename)
  const { stdout: control } = await execa('dpkg-deb', ['--field', file])
  return indexParagraph(control, { filename, size: (await stat(file)).size, sha256: await sha256File(file) })
}
