import { PackageURL } from 'packageurl-js'
import type { Lock, LockedContainer, LockedPackage } from '../image/lock.ts'
import type { Licence } from './licences.ts'

/** A component of an image, for its bills of materials. */
export interface Material {
  /** Unique in the image. */
  readonly id: string
  readonly kind: 'package' | 'artifact' | 'container' | 'boot' | 'definition'
  readonly name: string
  readonly version: string
  readonly purl: string | undefined
  /** Of the package file, the tarball, the container image's manifest, or of the boot image itself. */
  readonly sha256: string | undefined
  readonly licence: Licence | undefined
  /** Debian's source package and its version, which security trackers use. */
  readonly source: { readonly name: string; readonly version: string } | undefined
  readonly supplier: string | undefined
  readonly homepage: string | undefined
  readonly downloadUrl: string | undefined
  readonly note: string | undefined
  /** The ids of the materials that it was made from. */
  readonly madeFrom: readonly string[]
}

/** An installed package, as in dpkg's database in the image. */
export interface InstalledPackage {
  readonly source: { readonly name: string; readonly version: string }
  readonly maintainer: string
  readonly homepage: string | undefined
}

/** The format for `dpkg-query -W` that `readInstalled` reads. */
export const INSTALLED_FORMAT = `\${binary:Package}\\t\${source:Package}\\t\${source:Version}\\t\${Homepage}\\t\${Maintainer}\\n`

/** Parses the output of dpkg-query with `INSTALLED_FORMAT`, by package name. */
export function readInstalled(printed: string): Map<string, InstalledPackage> {
  return new Map(
    printed
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const [binary = '', name = '', version = '', homepage = '', maintainer = ''] = line.split('\t')
        return [
          binary.replace(/:.*/, ''),
          { source: { name, version }, maintainer, homepage: homepage === '' ? undefined : homepage },
        ]
      }),
  )
}

/** The input of `materialsOf`. */
export interface MaterialFacts {
  readonly lock: Lock
  /** `debian` or `ubuntu`, and the suite. */
  readonly distribution: string
  readonly suite: string
  readonly installed: ReadonlyMap<string, InstalledPackage>
  readonly licences: ReadonlyMap<string, Licence>
  /** The unified kernel image: its digest, and the kernel's version. */
  readonly uki: { readonly sha256: string; readonly kernel: string }
}

/** The only package of the tools tree with a part in the image: the stub that starts the kernel. */
const STUB = 'systemd-boot-efi'

/** The components of an image in a fixed order: the boot image, the definition, upstream artifacts, container images, packages. */
export function materialsOf(facts: MaterialFacts): Material[] {
  const { lock, installed, licences, uki } = facts
  const packages = lock.packages.map((locked) =>
    packageOf(locked, facts, installed.get(locked.name), licences.get(locked.name)),
  )
  const stub = lock.tools.find(({ name }) => name === STUB)
  const stubs = stub
    ? [
        {
          ...packageOf(stub, facts, undefined, undefined),
          id: `tool:${STUB}`,
          note: 'only its EFI stub is in the image',
        },
      ]
    : []
  const origin = [`linux-image-${uki.kernel}`, 'dracut', 'dracut-core'].filter((name) =>
    lock.packages.some((locked) => locked.name === name),
  )
  return [
    {
      ...noFacts,
      id: 'boot',
      kind: 'boot',
      name: 'BOOTX64.EFI',
      version: uki.kernel,
      sha256: uki.sha256,
      note: 'unified kernel image: kernel, initrd of the image’s own packages, and command line',
      madeFrom: [...origin.map((name) => `package:${name}`), ...stubs.map(({ id }) => id), 'definition'],
    },
    {
      ...noFacts,
      id: 'definition',
      kind: 'definition',
      name: `${lock.image}-definition`,
      version: lock.version,
      note: 'the files of the image’s own definition, and those made from the platform file',
    },
    ...lock.artifacts.map(
      ({ name, version, urls, sha256 }): Material => ({
        ...noFacts,
        id: `artifact:${name}`,
        kind: 'artifact',
        name,
        version,
        sha256,
        purl: new PackageURL(
          'generic',
          undefined,
          name,
          version,
          { download_url: urls[0] ?? '', checksum: `sha256:${sha256}` },
          undefined,
        ).toString(),
        downloadUrl: urls[0],
      }),
    ),
    ...lock.containers.map(containerOf),
    ...packages,
    ...stubs,
  ]
}

/** https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md */
function containerOf({ name, version, reference, sha256 }: LockedContainer): Material {
  const qualifiers = { repository_url: reference.replace(/:[^:/]*$/, ''), tag: version, arch: 'amd64' }
  return {
    ...noFacts,
    id: `container:${name}`,
    kind: 'container',
    name,
    version,
    sha256,
    purl: new PackageURL('oci', undefined, name, `sha256:${sha256}`, qualifiers, undefined).toString(),
    note: 'container image; its digest is that of its manifest for linux/amd64',
  }
}

const noFacts = {
  purl: undefined,
  sha256: undefined,
  licence: undefined,
  source: undefined,
  supplier: undefined,
  homepage: undefined,
  downloadUrl: undefined,
  note: undefined,
  madeFrom: [],
} as const

function packageOf(
  { name, version, architecture, archive, sha256 }: LockedPackage,
  { distribution, suite }: MaterialFacts,
  installed: InstalledPackage | undefined,
  licence: Licence | undefined,
): Material {
  // An archive of neither distribution is its own vendor. The tools may be of another distribution than the image.
  const vendor =
    ['debian', 'ubuntu'].find((name) => archive === name || archive.startsWith(`${name}-`)) ?? archive
  const qualifiers = { arch: architecture, ...(vendor === distribution ? { distro: suite } : {}) }
  return {
    ...noFacts,
    id: `package:${name}`,
    kind: 'package',
    name,
    version,
    sha256,
    licence,
    purl: new PackageURL('deb', vendor, name, version, qualifiers, undefined).toString(),
    source: installed?.source,
    supplier: installed?.maintainer,
    homepage: installed?.homepage,
  }
}
