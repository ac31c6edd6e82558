import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shellQuote } from './enclosure.ts'
import { layerKey } from './layers.ts'
import type { Rootfs } from './rootfs.ts'
import { calledWords } from './shell-words.ts'
import { readTrees, treeKey, writeTree } from './tree.ts'
import { type BuildRun, runStep } from './work.ts'

/** The modules that a machine needs to start: for its disk, /usr, the root file system and the cloud-init drive. */
export const NEEDED_MODULES = [
  'virtio_pci',
  'virtio_scsi',
  'virtio_blk',
  'sd_mod',
  'sr_mod',
  'dm_mod',
  'dm_verity',
  // The name by which dm_verity finds its digest.
  'crypto-sha256',
  'erofs',
  'ext4',
  'efivarfs',
]

/** Those that systemd loads from /usr. */
const LATER_MODULES = ['isofs', 'virtio_net']

/**
 * Shell text for the initrd's own shell: `KERNEL WORD...` finds what /init calls or loads and the initrd does not have. dracut
 * warns of it and goes on, and a distribution may move a program or a module to another package.
 */
const CHECK = [
  'kernel=$1; shift; missing=',
  'for word; do command -v "$word" > /dev/null || missing="$missing the program $word,"; done',
  'for file in /bin/* /sbin/* /usr/bin/* /usr/sbin/*; do',
  '  [ -f "$file" ] && [ -x "$file" ] && IFS= read -r first < "$file" || continue',
  '  case $first in ?ELF*) /lib64/ld-linux-x86-64.so.2 --list "$file" > /dev/null || missing="$missing a library of $file,";; esac',
  'done',
  `for module in ${NEEDED_MODULES.join(' ')}; do`,
  '  files=$(modprobe --set-version "$kernel" --show-depends "$module") || missing="$missing the module $module of kernel $kernel,"',
  '  for file in $files; do case $file in /*) [ -e "$file" ] || missing="$missing $file,";; esac; done',
  'done',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own braces
  '[ -z "$missing" ] || { echo "error: the initrd does not have${missing%,}; images/common/initrd/module-setup.sh names what it gets of the packages" >&2; exit 1; }',
].join('\n')

/**
 * dracut runs in the image's own tree, which is read-only, so that the initrd has the image's programs and modules. Our dracut
 * module is the only one: a mount hides the folder of the others. The kernel is copied beside the initrd.
 * @param words what /init calls
 */
const packScript = (words: readonly string[]) =>
  [
    // Read-only: a file that dracut left in the tree would be in /usr, but not when the initrd comes from the cache.
    'mount --bind /scratch/tree /scratch/tree && mount -o remount,bind,ro /scratch/tree && cd /scratch/tree',
    'kernel=$(cd usr/lib/modules && ls -d [0-9]* | sort -V | tail -n 1)',
    'for dir in proc sys dev; do mount --rbind "/$dir" "$dir"; done',
    'mount -t tmpfs tmpfs tmp && mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs var/tmp',
    // A distribution may have a file system's module in a separate package: find out here, not at boot.
    `for module in ${LATER_MODULES.join(' ')}; do chroot . modinfo -k "$kernel" -n "$module" > /dev/null 2>&1 || { echo "the kernel $kernel has no module $module" >&2; exit 1; }; done`,
    `if [ -e "boot/config-$kernel" ] && ! grep -q '^CONFIG_EROFS_FS_ZIP=y' "boot/config-$kernel"; then echo "the kernel $kernel cannot read a compressed erofs" >&2; exit 1; fi`,
    'mount -t tmpfs tmpfs usr/lib/dracut/modules.d',
    'mkdir usr/lib/dracut/modules.d/90seeder tmp/out',
    // A copy owned by root, because dracut keeps the owners.
    'cp -a --no-preserve=ownership /module/. usr/lib/dracut/modules.d/90seeder/',
    'mount --bind /out tmp/out',
    ': > tmp/dracut.conf',
    'chroot . dracut --kver "$kernel" --no-hostonly --no-hostonly-cmdline --modules seeder --no-early-microcode --nofscks' +
      ' --reproducible --no-compress --keep --conf /tmp/dracut.conf --confdir /var/tmp --tmpdir /var/tmp --quiet --force /tmp/out/initrd.cpio',
    // What dracut kept is the initrd's tree.
    `chroot var/tmp/*/initramfs /bin/sh -euc ${shellQuote(CHECK)} check "$kernel" ${words.map(shellQuote).join(' ')}`,
    // The image may have no compressor of its own. A single thread keeps the output reproducible.
    'zstd -q -9 --single-thread --rm /out/initrd.cpio -o /out/initrd',
    'cp "boot/vmlinuz-$kernel" /out/vmlinuz',
    'printf %s "$kernel" > /out/kernel-version',
  ].join('\n')

/**
 * Packs the initrd.
 * @returns the folder of the layer, with `vmlinuz`, `initrd` and `kernel-version`
 */
export async function packInitrd(run: BuildRun, project: string, rootfs: Rootfs): Promise<string> {
  const { layers, scratch } = run
  const module = join(project, 'images', 'common', 'initrd')
  const files = await readTrees([module])
  const script = packScript(calledWords(await readFile(join(module, 'init.sh'), 'utf8')))
  const key = layerKey({ rootfs: rootfs.key, script, module: treeKey(files) })
  return layers.get('initrd', key, scratch, async (target) => {
    await rootfs.unpack()
    // A copy, because dracut keeps the modes of the files, and those of a checkout depend on the umask.
    const copy = join(scratch, 'initrd-module')
    await writeTree(files, copy)
    await runStep(run, 'Packing the initrd', script, {
      binds: [
        { from: copy, to: '/module' },
        { from: target, to: '/out', writable: true },
      ],
    })
  })
}
