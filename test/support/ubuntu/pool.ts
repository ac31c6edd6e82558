import { mkdir, mkdtemp, rename, rm, stat, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import { type Image, requestedPackages } from '../../../src/image/definition.ts'
import { sha256File } from '../../../src/store/digest.ts'
import type { Store } from '../../../src/store/store.ts'
import { buildDeb, type DebSource } from '../archive/deb.ts'
import { indexParagraph } from '../archive/release.ts'
import type { Debian } from './debian.ts'
import { fetchDebs } from './debs.ts'
import { type Entry, SUITES } from './suites.ts'

/** Packages that Ubuntu has in universe. */
const UNIVERSE = ['qemu-guest-agent', 'liburing2', 'systemd-repart']
/** Ubuntu's kernel package → Debian's; each pocket has a newer version than the one before it. */
const KERNEL = { name: 'linux-image-virtual', depends: 'linux-image-cloud-amd64' }
const KERNEL_VERSIONS: Readonly<Record<string, string>> = {
  resolute: '7.0.0-14.14',
  'resolute-updates': '7.0.0-27.27',
  'resolute-security': '7.0.0-34.34',
}

/** Links all packages of `images` into the pool. */
export async function placeDebian(
  folder: string,
  images: readonly Image[],
  debian: Debian,
): Promise<Entry[]> {
  const wanted = images.flatMap((image) => {
    const elsewhere = image.repositories.flatMap(({ packages }) => packages)
    return requestedPackages(image).filter((name) => !elsewhere.includes(name))
  })
  const names = new Set(wanted.map((name) => (name === KERNEL.name ? KERNEL.depends : name)))
  const needed = await debian.closure(['?essential', 'apt', ...names])
  const store = await fetchDebs(needed, debian.mirrors)
  const entries: Entry[] = []
  for (const found of needed) {
    const component = UNIVERSE.includes(found.name) ? 'universe' : 'main'
    const path = found.path.replace(/^pool\/(updates\/)?[^/]+\//, `pool/${component}/`)
    await linkTo(join(folder, 'ubuntu', path), store, found.sha256)
    const paragraph = `${found.paragraph.trimEnd().replace(/^Filename: .*$/m, `Filename: ${path}`)}\n`
    // As in Ubuntu, -updates has the packages of -security as well.
    const suites = found.archive === 'debian-security' ? SUITES.slice(1) : SUITES.slice(0, 1)
    for (const suite of suites) entries.push({ ...found, suite, component, paragraph })
  }
  return entries
}

async function linkTo(file: string, store: Store, sha256: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await symlink(store.path(sha256), file)
}

/** Builds the stand-ins for Ubuntu's kernel package, one for each pocket. `root` is for temporary files. */
export async function placeKernel(root: string, folder: string): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const suite of SUITES) {
    const source = { ...KERNEL, version: KERNEL_VERSIONS[suite] ?? '' }
    const pool = 'pool/main/l/linux-meta'
    const paragraph = await placeDeb(root, join(folder, 'ubuntu'), pool, source)
    entries.push({ name: source.name, version: source.version, suite, component: 'main', paragraph })
  }
  return entries
}

/** Builds a deb and moves it to `pool`, a path below `archive`. Returns its paragraph of an index. */
export async function placeDeb(
  root: string,
  archive: string,
  pool: string,
  source: DebSource,
): Promise<string> {
  const built = await buildDeb(await mkdtemp(join(root, 'deb-')), source)
  const filename = `${pool}/${basename(built)}`
  await mkdir(join(archive, pool), { recursive: true })
  await rename(built, join(archive, filename))
  await rm(dirname(built), { recursive: true })
  const file = join(archive, filename)
  const { stdout: control } = await execa('dpkg-deb', ['--field', file])
  return indexParagraph(control, { filename, size: (await stat(file)).size, sha256: await sha256File(file) })
}
