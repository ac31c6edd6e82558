import { mkdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Image, requestedPackages } from '../../../src/image/definition.ts'
import type { Store } from '../../../src/store/store.ts'
import type { Debian, Release } from './debian.ts'
import { fetchDebs } from './debs.ts'
import { placeDeb } from './place-deb.ts'
import { placeRustTools, RUST_PACKAGES } from './rust-tools.ts'
import { type Entry, SUITES } from './suites.ts'

/** Packages that Ubuntu has in universe. */
const UNIVERSE = ['qemu-guest-agent', 'liburing2', 'systemd-repart']
/** Ubuntu's kernel package → Debian's; each pocket has a newer version than the one before it. */
const KERNEL = 'linux-image-virtual'
/** Ubuntu's kernel for virtual machines has the drivers of every machine, as Debian's generic one. */
const DEBIANS_KERNEL: Readonly<Record<Release, string>> = {
  trixie: 'linux-image-cloud-amd64',
  forky: 'linux-image-amd64',
}
const KERNEL_VERSIONS: Readonly<Record<string, string>> = {
  resolute: '7.0.0-14.14',
  'resolute-updates': '7.0.0-27.27',
  'resolute-security': '7.0.0-34.34',
}

/**
 * Links all packages of `images` into the pool. Debian's next release has Rust's coreutils and sudo in the place of the
 * others, as in Ubuntu. `root` is for temporary files.
 */
export async function placeDebian(
  root: string,
  folder: string,
  images: readonly Image[],
  debian: Debian,
): Promise<Entry[]> {
  const wanted = images.flatMap((image) => {
    const elsewhere = image.repositories.flatMap(({ packages }) => packages)
    return requestedPackages(image).filter((name) => !elsewhere.includes(name))
  })
  const names = new Set(wanted.map((name) => (name === KERNEL ? DEBIANS_KERNEL[debian.release] : name)))
  const rust = debian.release === 'forky' ? RUST_PACKAGES : []
  const needed = await debian.closure(['?essential', 'apt', ...rust, ...names])
  const store = await fetchDebs(needed, debian.mirrors)
  const entries: Entry[] = []
  const place = { root, archive: join(folder, 'ubuntu'), store }
  const made = rust.length > 0 ? await placeRustTools(place, needed) : { entries: [], replaced: new Set() }
  for (const one of made.entries) entries.push({ ...one, suite: 'resolute', component: 'main' })
  for (const found of needed) {
    if (made.replaced.has(found.name)) continue
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
export async function placeKernel(root: string, folder: string, release: Release): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const suite of SUITES) {
    const source = { name: KERNEL, depends: DEBIANS_KERNEL[release], version: KERNEL_VERSIONS[suite] ?? '' }
    const pool = 'pool/main/l/linux-meta'
    const paragraph = await placeDeb(root, join(folder, 'ubuntu'), pool, source)
    entries.push({ name: source.name, version: source.version, suite, component: 'main', paragraph })
  }
  return entries
}
