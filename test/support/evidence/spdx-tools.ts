import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Layers } from '../../../src/build/layers.ts'
import { runInside } from '../../../src/build/namespace.ts'
import { unpackTools } from '../../../src/build/tools.ts'
import type { Store } from '../../../src/store/store.ts'
import { removeFolder, usersCache } from '../builds.ts'
import { type DebianPackage, readDebian } from '../ubuntu/debian.ts'
import { fetchDebs } from '../ubuntu/debs.ts'
import { lock } from './facts.ts'

/** SPDX's own tools, which know nothing of this program. */
export interface SpdxTools {
  /** What they have to say of a document, given as text or as what becomes text: nothing when it is valid. */
  complaints(document: unknown): Promise<string[]>
  /** The tree that they are in, and the packages that it is of. */
  readonly tree: string
  readonly packages: readonly DebianPackage[]
  readonly store: Store
  remove(): Promise<void>
}

/** The validator, and the programs that an installed system has anyway. */
const WANTED = ['python3-spdx-tools', 'base-files', 'coreutils', 'dash', 'findutils', 'perl-base']

/** Fetches the tools from Debian's archive and unpacks them as a build does its own: nothing of this machine is used. */
export async function spdxTools(): Promise<SpdxTools> {
  const cache = join(usersCache, 'seeder-test')
  await mkdir(cache, { recursive: true })
  // A layer is moved to its place: on the same file system.
  const work = await mkdtemp(join(cache, 'spdx-tools-'))
  const scratch = await mkdtemp(join(tmpdir(), 'seeder-spdx-'))
  try {
    const debian = await readDebian(scratch)
    const packages = await debian.closure(WANTED)
    const store = await fetchDebs(packages, debian.mirrors)
    const layers = new Layers(join(cache, 'layers'), true)
    const { key } = await unpackTools({ ...lock, tools: packages }, store, layers, work)
    await layers.verify()
    await layers.keep()
    const tree = join(layers.folder, `tools-${key}`, 'content')
    return {
      tree,
      packages,
      store,
      complaints: (document) => validate(tree, scratch, document),
      remove: () => removeFolder(scratch),
    }
  } finally {
    await rm(work, { recursive: true })
  }
}

async function validate(tree: string, scratch: string, document: unknown): Promise<string[]> {
  const folder = await mkdtemp(join(scratch, 'document-'))
  // Root inside is nobody here.
  await chmod(folder, 0o755)
  await writeFile(
    join(folder, 'image.spdx.json'),
    typeof document === 'string' ? document : JSON.stringify(document),
  )
  const enclosure = {
    tools: tree,
    binds: [{ from: folder, to: '/document' }],
    env: { PYTHONDONTWRITEBYTECODE: '1' },
  }
  const script = 'pyspdxtools --infile /document/image.spdx.json 2>&1 || echo "it ended with $?"'
  const printed = await runInside(enclosure, 'SPDX’s validator', script)
  return printed.split('\n').filter((line) => line !== '')
}
