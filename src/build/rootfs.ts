import { join } from 'node:path'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import { SeederError } from '../report/error.ts'
import { shellQuote } from './enclosure.ts'
import { layerKey } from './layers.ts'
import { layOutMirror } from './mirror.ts'
import { makeFolder } from './tree.ts'
import { type BuildRun, queryTree, runStep } from './work.ts'

/** The installed packages. */
export interface Rootfs {
  readonly key: string
  /** Unpacks them to /scratch/tree, unless they are there. */
  unpack(): Promise<void>
}

/**
 * Installs the locked packages with mmdebstrap into /scratch/tree and keeps the tree as a tar, which has the owners as seen
 * in the build's namespace.
 * @throws SeederError when the installation fails, or does not install exactly the locked packages
 */
export async function installPackages(run: BuildRun): Promise<Rootfs> {
  const { image, lock, store, tools, layers, scratch } = run
  const script = installScript(image, lock)
  // With name and version: a lock with another name for the same file must not use a cached layer.
  const packages = lock.packages.map(({ name, version, sha256 }) => [name, version, sha256])
  const key = layerKey({ tools: tools.key, script, packages })
  let unpacked: Promise<void> | undefined
  const folder = await layers.get('rootfs', key, scratch, async (target) => {
    const mirror = join(scratch, 'mirror')
    await makeFolder(mirror)
    await layOutMirror(mirror, image.base.suite, lock.packages, store)
    await runStep(run, 'Installing the packages', script, {
      binds: [
        { from: mirror, to: '/mirror' },
        { from: target, to: '/out', writable: true },
      ],
      env: { TMPDIR: '/scratch' },
    })
    requireExactly(lock, await queryTree(run, 'Listing the installed packages', LIST_PACKAGES, { binds: [] }))
    unpacked = Promise.resolve()
  })
  return {
    key,
    async unpack() {
      unpacked ??= unpackTree(run, folder)
      await unpacked
    },
  }
}

function unpackTree(run: BuildRun, rootfs: string): Promise<void> {
  run.layers.check(rootfs)
  const script = 'mkdir /scratch/tree && tar -C /scratch/tree -xf /rootfs/rootfs.tar --numeric-owner --xattrs'
  return runStep(run, 'Unpacking the installed packages', script, {
    binds: [{ from: rootfs, to: '/rootfs' }],
  })
}

/** Installs all locked packages by name: the mirror has one version of each and nothing else. */
function installScript(image: Image, lock: Lock): string {
  // The last option that matches a path wins.
  const paths = [
    ...[...image.base.exclude, ...image.exclude].map((path) => `path-exclude=${path}`),
    ...[...image.base.keep, ...image.keep].map((path) => `path-include=${path}`),
  ].map((option) => `--dpkgopt=${shellQuote(option)}`)
  const mmdebstrap = [
    'mmdebstrap',
    '--mode=root',
    '--format=directory',
    '--variant=essential',
    '--verbose',
    // No other architecture to check for; and maintainer scripts must not see /sys of the host.
    '--skip=check/qemu,chroot/mount/sys',
    `--aptopt='APT::Install-Recommends "false"'`,
    `--aptopt='APT::Sandbox::User "root"'`,
    // An interrupted build is thrown away, so a sync after every package is useless.
    '--dpkgopt=force-unsafe-io',
    ...paths,
    `--include=${lock.packages.map(({ name }) => name).join(',')}`,
    image.base.suite,
    '/scratch/tree',
    `'deb [trusted=yes] copy:/mirror ${image.base.suite} main'`,
  ]
  return [
    // INITRD=No: the scripts of the kernel and dracut would each make an initrd; packInitrd makes ours.
    'export DEBIAN_FRONTEND=noninteractive INITRD=No',
    mmdebstrap.join(' '),
    DROP_MODULES,
    COMPILE_PYTHON,
    TIDY_DOCUMENTS,
    // mmdebstrap's own settings.
    '[ -e /scratch/tree/usr/bin/apt ] || rm -r /scratch/tree/etc/apt /scratch/tree/var/lib/apt /scratch/tree/var/cache/apt',
    'tar -C /scratch/tree -cf /out/rootfs.tar --numeric-owner --xattrs --sort=name .',
  ].join('\n')
}

/** Prints a line per package with its dpkg status: "ii haproxy 3.0.11-1+deb13u5" */
const LIST_PACKAGES = `dpkg-query --admindir=/scratch/tree/var/lib/dpkg -Wf '\${db:Status-Abbrev}\${Package} \${Version}\\n'`

/**
 * Compiles Python's byte code for all packages: it cannot be cached on a read-only /usr, and compiling at every start makes
 * cloud-init slow. `unchecked-hash` files have no time stamp, so they are the same in every build, and Python does not compare
 * them with the time of the source.
 */
const COMPILE_PYTHON = [
  'if [ -x /scratch/tree/usr/bin/python3 ]; then',
  "  find /scratch/tree/usr -name __pycache__ -prune -exec rm -rf '{}' +",
  // Nobody imports them. dpkg cannot leave them out: the package's script compiles its whole list of files.
  '  for name in test idlelib pydoc_data _pyrepl turtledemo; do rm -rf /scratch/tree/usr/lib/python3.[0-9]*/"$name"; done',
  // The image's shell expands the pattern: the tools have a Python of their own.
  `  chroot /scratch/tree /bin/sh -euc 'python3 -I -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.[0-9]*'`,
  'fi',
].join('\n')

/**
 * Removes the kernel's modules that need one that the base leaves out: they cannot be loaded. Which these are depends on the
 * kernel; what an image itself loads is checked when the initrd is packed.
 */
const DROP_MODULES = [
  'cd /scratch/tree',
  'for folder in usr/lib/modules/*/kernel; do',
  '  [ -d "$folder" ] || continue',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own braces
  '  kernel=${folder#usr/lib/modules/} kernel=${kernel%/kernel} dropped=',
  '  while :; do',
  `    find "$folder" -name '*.ko*' -printf '/%p\\n' | sort > /scratch/modules`,
  `    sed 's#.*/##; s#[.]ko.*##' /scratch/modules "usr/lib/modules/$kernel/modules.builtin" | tr - _ > /scratch/names`,
  '    xargs chroot . modinfo -F depends < /scratch/modules > /scratch/depends',
  "    paste /scratch/modules /scratch/depends | tr - _ | mawk '",
  '      NR == FNR { have[$1]; next }',
  '      { missing = 0; count = split($2, names, ","); for (i = 1; i <= count; i++) if (!(names[i] in have)) missing = 1 }',
  '      missing { print FNR }',
  "    ' /scratch/names - > /scratch/broken",
  '    [ -s /scratch/broken ] || break',
  `    sed 's/$/p/' /scratch/broken | sed -n -f - /scratch/modules | sed 's#^/##' | xargs rm`,
  '    dropped=yes',
  '  done',
  '  [ -z "$dropped" ] || chroot . depmod "$kernel"',
  'done',
].join('\n')

/**
 * Removes what dpkg's path-exclude leaves of the packages' documents: links to changelogs that do not exist, and empty folders.
 */
const TIDY_DOCUMENTS = [
  'if [ -d /scratch/tree/usr/share/doc ]; then',
  '  find /scratch/tree/usr/share/doc -mindepth 2 -type l ! -name copyright -delete',
  '  find /scratch/tree/usr/share/doc -mindepth 1 -type d -empty -delete',
  'fi',
].join('\n')

/**
 * @param status the output of LIST_PACKAGES
 * @throws SeederError when it differs from the lock
 */
function requireExactly(lock: Lock, status: string): void {
  const locked = new Set(lock.packages.map(({ name, version }) => `${name} ${version}`))
  const lines = status.split('\n').filter(Boolean)
  const broken = lines.filter((line) => !line.startsWith('ii '))
  const installed = new Set(lines.map((line) => line.slice(3).trim()))
  const extra = [...installed].filter((name) => !locked.has(name))
  const absent = [...locked].filter((name) => !installed.has(name))
  if (broken.length + extra.length + absent.length === 0) return
  throw new SeederError(
    `The installed packages differ from the lock: ${[
      ...broken.map((line) => `${line.slice(3)} is not configured`),
      ...extra.map((name) => `${name} is not in the lock`),
      ...absent.map((name) => `${name} is in the lock and missing`),
    ].join('; ')}`,
    { fix: 'write the lock again' },
  )
}
