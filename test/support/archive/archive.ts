import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import { buildDeb, type DebSource } from './deb.ts'
import { createKey, type SigningKey } from './key.ts'
import { indexParagraph, releaseText, sha256 } from './release.ts'
import { type FileServer, serveFiles } from './server.ts'

/** A suite of an archive to publish. Dates are those of its Release file. */
export interface Suite {
  readonly name: string
  readonly packages: readonly DebSource[]
  readonly date?: Date
  /** When set, apt takes the suite's index for outdated after it. */
  readonly validUntil?: Date
}

/**
 * A small apt archive: real debs, real indexes, signed by its own key, served on loopback. `server.faults` makes it
 * misbehave.
 */
export interface Archive {
  readonly url: string
  readonly folder: string
  readonly key: SigningKey
  readonly server: FileServer
  /** Adds or replaces a suite. It is signed with the archive's key, or with another, or (null) not at all. */
  publish(suite: Suite, signer?: SigningKey | null): Promise<void>
  /** Where a package's deb is, below `url`. */
  path(name: string, version: string): string
  close(): Promise<void>
}

const COMPONENT = 'main'

export async function createArchive(): Promise<Archive> {
  const root = await mkdtemp(join(tmpdir(), 'seeder-archive-'))
  const folder = join(root, 'www')
  const key = await createKey('archive')
  await mkdir(folder)
  const server = await serveFiles(folder)
  const path = (name: string, version: string) => `pool/${COMPONENT}/${name}_${version}_amd64.deb`

  // A package that is published again, in another test, is not built again.
  const records = new Map<string, Promise<string>>()
  function record(source: DebSource): Promise<string> {
    const key = JSON.stringify(source)
    const known = records.get(key) ?? addPackage(source)
    records.set(key, known)
    return known
  }

  async function addPackage(source: DebSource): Promise<string> {
    const target = join(folder, path(source.name, source.version))
    await mkdir(dirname(target), { recursive: true })
    await copyFile(await buildDeb(await mkdtemp(join(root, 'deb-')), source), target)
    const control = (await execa('dpkg-deb', ['--field', target])).stdout
    const bytes = await readFile(target)
    const filename = `pool/${COMPONENT}/${basename(target)}`
    return indexParagraph(control, { filename, size: bytes.length, sha256: sha256(bytes) })
  }

  async function publish(suite: Suite, signer: SigningKey | null = key): Promise<void> {
    const index = (await Promise.all(suite.packages.map(record))).join('\n')
    const dists = join(folder, 'dists', suite.name)
    await mkdir(join(dists, COMPONENT, 'binary-amd64'), { recursive: true })
    await writeFile(join(dists, COMPONENT, 'binary-amd64', 'Packages'), index)
    const head = {
      origin: 'Test',
      label: 'Test',
      suite: suite.name,
      codename: suite.name,
      components: [COMPONENT],
      date: suite.date ?? new Date(),
      ...(suite.validUntil ? { validUntil: suite.validUntil } : {}),
    }
    const release = releaseText(head, new Map([[`${COMPONENT}/binary-amd64/Packages`, Buffer.from(index)]]))
    await rm(join(dists, 'InRelease'), { force: true })
    await writeFile(join(dists, 'Release'), release)
    if (signer) await writeFile(join(dists, 'InRelease'), await signer.sign(release))
  }

  return {
    url: server.url,
    folder,
    key,
    server,
    path,
    publish,
    async close() {
      await server.close()
      await key.discard()
      await rm(root, { recursive: true, force: true })
    },
  }
}
