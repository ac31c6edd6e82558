import { join } from 'node:path'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import { SeederError } from '../report/error.ts'
import type { Store } from '../store/store.ts'
import { type Layers, layerKey } from './layers.ts'
import { layOutMirror } from './mirror.ts'
import { runInside } from './namespace.ts'
import { shellQuote } from './shell-quote.ts'
import type { Tools } from './tools.ts'
import { makeFolder } from './tree.ts'
import { insideOf } from './work.ts'

/** The installed packages: `folder` holds `rootfs.tar`; `key` stands for its content. */
export interface Rootfs {
  readonly folder: string
  readonly key: string
  /** The unpacked tree, where this build just made it; otherwise it has to be unpacked from the tar. */
  readonly tree: string | undefined
}

/**
 * Installs the locked packages with mmdebstrap into a tree and keeps it as a tar. The tree belongs to the ids of the
 * build's namespace; paths inside the enclosure are /scratch (the scratch folder) and /mirror.
 * Throws SeederError when an installation fails or ends with anything but exactly the locked packages.
 */
export async function installPackages(
  image: Image,
  lock: Lock,
  store: Store,
  tools: Tools,
  layers: Layers,
  scratch: string,
): Promise<Rootfs> {
  const script = installScript(image, lock)
  // Name and version too: a lock that calls a file by another name must not pass because its layer is there.
  const packages = lock.packages.map(({ name, version, sha256 }) => [name, version, sha256])
  const key = layerKey({ tools: tools.key, script, packages })
  let tree: string | undefined
  const make = async (target: string) => {
    const mirror = join(scratch, 'mirror')
    await makeFolder(mirror)
    await layOutMirror(mirror, image.base.suite, lock.packages, store)
    const enclosure = {
      tools: tools.folder,
      binds: [
        { from: insideOf(scratch), to: '/scratch', writable: true },
        { from: mirror, to: '/mirror' },
        { from: target, to: '/out', writable: true },
      ],
      env: { SOURCE_DATE_EPOCH: String(lock.epoch), TMPDIR: '/scratch' },
    }
    const installed = await runInside(enclosure, 'Installing the packages', script)
    requireExactly(lock, installed)
    tree = join(insideOf(scratch), 'tree')
  }
  // Most builds have their /usr already: it is compared with its digest when it is unpacked.
  const folder = await layers.get('rootfs', key, scratch, make, { later: true })
  return { folder, key, tree }
}

/** The packages to install are all locked ones, by name: the mirror has one version of each and nothing else. */
function installScript(image: Image, lock: Lock): string {
  // The last one that matches a path counts.
  const paths = [
    ...[...image.base.exclude, ...image.exclude].map((path) => `path-exclude=${path}`),
    ...[...image.base.keep, ...image.keep].map((path) => `path-include=${path}`),
  ].map((option) => `--dpkgopt=${shellQuote(option)}`)
  const mmdebstrap = [
    'mmdebstrap',
    '--mode=root',
    '--format=directory',
    '--variant=apt',
    '--verbose',
    // The first: no other architecture to check for. The second: /sys of the host is no business of a maintainer script.
    '--skip=check/qemu,chroot/mount/sys',
    `--aptopt='APT::Install-Recommends "false"'`,
    `--aptopt='APT::Sandbox::User "root"'`,
    // A build that is cut off is thrown away, so nothing is gained by waiting for the disk after every package.
    '--dpkgopt=force-unsafe-io',
    ...paths,
    `--include=${lock.packages.map((one) => one.name).join(',')}`,
    image.base.suite,
    '/scratch/tree',
    `'deb [trusted=yes] copy:/mirror ${image.base.suite} main'`,
  ]
  return [
    // INITRD=No: the kernel's and dracut's scripts would each make one, with every module; packInitrd makes ours.
    'export DEBIAN_FRONTEND=noninteractive INITRD=No',
    mmdebstrap.join(' '),
    COMPILE_PYTHON,
    TIDY_DOCUMENTS,
    'tar -C /scratch/tree -cf /out/rootfs.tar --numeric-owner --xattrs --sort=name .',
    `dpkg-query --admindir=/scratch/tree/var/lib/dpkg -Wf '\${db:Status-Abbrev}\${Package} \${Version}\\n'`,
  ].join('\n')
}

/**
 * Python's byte code, once for all packages: on a read-only /usr it could never be cached, and compiling it anew at
 * every start is what makes cloud-init slow. `unchecked-hash` files carry no time stamp, so they are the same in
 * every build, and Python does not look at the source's time to trust them.
 */
const COMPILE_PYTHON = [
  'if [ -x /scratch/tree/usr/bin/python3 ]; then',
  "  find /scratch/tree/usr -name __pycache__ -prune -exec rm -rf '{}' +",
  '  chroot /scratch/tree /usr/bin/python3 -I -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.[0-9]*',
  'fi',
].join('\n')

/**
 * dpkg keeps every folder and link that something to be kept might be below: of the packages' documents, links to
 * change logs that are not there, and empty folders.
 */
const TIDY_DOCUMENTS = [
  'if [ -d /scratch/tree/usr/share/doc ]; then',
  '  find /scratch/tree/usr/share/doc -mindepth 2 -type l ! -name copyright -delete',
  '  find /scratch/tree/usr/share/doc -mindepth 1 -type d -empty -delete',
  'fi',
].join('\n')

/** `status` has a line per package, its dpkg status first: "ii haproxy 3.0.11-1+deb13u5". */
function requireExactly(lock: Lock, status: string): void {
  const locked = new Set(lock.packages.map((one) => `${one.name} ${one.version}`))
  const lines = status.split('\n').filter(Boolean)
  const broken = lines.filter((line) => !line.startsWith('ii '))
  const installed = new Set(lines.map((line) => line.slice(3).trim()))
  const extra = [...installed].filter((one) => !locked.has(one))
  const absent = [...locked].filter((one) => !installed.has(one))
  if (broken.length + extra.length + absent.length === 0) return
  throw new SeederError(
    `What was installed is not what is locked: ${[
      ...broken.map((one) => `${one.slice(3)} is not configured`),
      ...extra.map((one) => `${one} is not in the lock`),
      ...absent.map((one) => `${one} is in the lock and missing`),
    ].join('; ')}`,
    { fix: 'write the lock again' },
  )
}
