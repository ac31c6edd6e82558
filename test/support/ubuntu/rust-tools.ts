import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Store } from '../../../src/store/store.ts'
import type { DebianPackage } from './debian.ts'
import { placeDeb, placeTree } from './place-deb.ts'
import type { Entry } from './suites.ts'

/**
 * The packages with which Ubuntu 26.04 puts the Rust implementations of coreutils and sudo in the place of the others. Debian
 * has both implementations, but not these packages.
 */
export const RUST_PACKAGES = ['rust-coreutils', 'sudo-rs']
const REPLACED = ['coreutils', 'sudo', 'sudo-rs']

/** Ubuntu 26.04 keeps these of GNU. */
const STILL_GNU = ['cp', 'mv', 'rm']
const RUST_FOLDER = 'usr/lib/cargo/bin/coreutils'

/** The folders of an archive in the making. */
interface Place {
  /** For temporary files. */
  readonly root: string
  /** The archive. */
  readonly archive: string
  readonly store: Store
}

/**
 * Places the packages that make Ubuntu's choice, of Debian's own. Returns their entries, and which of `packages` they take the
 * place of.
 */
export async function placeRustTools(
  place: Place,
  packages: readonly DebianPackage[],
): Promise<{ entries: Omit<Entry, 'suite' | 'component'>[]; replaced: ReadonlySet<string> }> {
  const found = (name: string): DebianPackage => {
    const one = packages.find((other) => other.name === name)
    if (one === undefined) throw new Error(`Debian's archive has no ${name}`)
    return one
  }
  const entries = [
    ...(await placeCoreutils(place, found('coreutils'), found('rust-coreutils'))),
    await placeSudo(place, found('sudo'), 'usr/bin/sudo.ws', 40),
    await placeSudo(place, found('sudo-rs'), 'usr/lib/cargo/bin/sudo', 50),
  ]
  return { entries, replaced: new Set(REPLACED) }
}

/**
 * gnu-coreutils has GNU's programs, each as gnuNAME; coreutils-from-uutils links every NAME to Rust's program of that name, or
 * to GNU's where Ubuntu keeps it or Rust has none; coreutils is essential, and pulls it in.
 */
async function placeCoreutils(place: Place, gnu: DebianPackage, rust: DebianPackage) {
  const tree = await unpack(place, gnu)
  const programs = await readdir(join(tree, 'usr/bin'))
  for (const name of programs) await rename(join(tree, 'usr/bin', name), join(tree, 'usr/bin', `gnu${name}`))
  await changeControl(tree, (text) => {
    return text.replace(/^Package: .*$/m, 'Package: gnu-coreutils').replace(/^Essential: .*\n/m, '')
  })
  const inRust = await readdir(join(await unpack(place, rust), RUST_FOLDER))
  const links = programs.map((name) => {
    const own = inRust.includes(name) && !STILL_GNU.includes(name)
    return [`usr/bin/${name}`, { linkTo: own ? `../lib/cargo/bin/coreutils/${name}` : `gnu${name}` }] as const
  })
  const { version } = gnu
  const from = 'coreutils-from-uutils'
  const preDepends = (value: string) => ({ 'Pre-Depends': value })
  const pool = 'pool/main/c/coreutils'
  return [
    await entry('gnu-coreutils', version, placeTree(place.archive, pool, tree)),
    await entry(
      from,
      version,
      placeDeb(place.root, place.archive, pool, {
        name: from,
        version,
        fields: preDepends('rust-coreutils, gnu-coreutils'),
        files: Object.fromEntries(links),
      }),
    ),
    await entry(
      'coreutils',
      version,
      placeDeb(place.root, place.archive, pool, {
        name: 'coreutils',
        version,
        essential: true,
        fields: preDepends(from),
      }),
    ),
  ]
}

/** A package of sudo whose program is one of the alternatives for /usr/bin/sudo. */
async function placeSudo(place: Place, debian: DebianPackage, program: string, priority: number) {
  const tree = await unpack(place, debian)
  if (program === 'usr/bin/sudo.ws') await rename(join(tree, 'usr/bin/sudo'), join(tree, program))
  const script = join(tree, 'DEBIAN/postinst')
  const register = `update-alternatives --install /usr/bin/sudo sudo /${program} ${priority}`
  // Debian's script removes a link of old versions.
  const text = (await readFile(script, 'utf8')).replace(/^if \[ -L .*alternatives\/sudo.*\n.*\nfi\n/m, '')
  await writeFile(script, `${text}\n[ "$1" != configure ] || ${register}\n`)
  return entry(debian.name, debian.version, placeTree(place.archive, `pool/main/s/${debian.name}`, tree))
}

async function unpack({ root, store }: Place, { name, sha256 }: DebianPackage): Promise<string> {
  const tree = join(await mkdtemp(join(root, 'unpacked-')), name)
  await execa('dpkg-deb', ['--raw-extract', store.path(sha256), tree])
  await rm(join(tree, 'DEBIAN/md5sums'), { force: true })
  return tree
}

async function changeControl(tree: string, change: (text: string) => string): Promise<void> {
  const file = join(tree, 'DEBIAN/control')
  await writeFile(file, change(await readFile(file, 'utf8')))
}

async function entry(name: string, version: string, paragraph: Promise<string>) {
  return { name, version, paragraph: await paragraph }
}
