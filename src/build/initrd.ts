import { join } from 'node:path'
import type { Lock } from '../image/lock.ts'
import { type Layers, layerKey } from './layers.ts'
import { runInside } from './namespace.ts'
import type { Rootfs } from './rootfs.ts'
import type { Tools } from './tools.ts'
import { readTrees, treeKey, writeTree } from './tree.ts'
import { insideOf } from './work.ts'

/** What a machine cannot start without: the disk it stands on, /usr, the root file system, the cloud-init drive. */
const NEEDED_MODULES = [
  'virtio_pci',
  'virtio_scsi',
  'virtio_blk',
  'sd_mod',
  'sr_mod',
  'dm_mod',
  'dm_verity',
  'erofs',
  'ext4',
  'isofs',
  'virtio_net',
]

/**
 * dracut runs in the image's own tree, so that the initrd has the image's programs and modules. It sees one module
 * only, ours (bound over the folder of all others), and the tree is not written to.
 * The kernel is copied beside the initrd; both are checked to be there.
 */
const SCRIPT = [
  // Read-only, and entered after the mount: what dracut left in the tree would be in /usr, but not where the initrd
  // comes from the cache.
  'mount --bind /scratch/tree /scratch/tree && mount -o remount,bind,ro /scratch/tree && cd /scratch/tree',
  'kernel=$(cd usr/lib/modules && ls -d [0-9]* | sort -V | tail -n 1)',
  'for dir in proc sys dev; do mount --rbind "/$dir" "$dir"; done',
  'mount -t tmpfs tmpfs tmp && mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs var/tmp',
  // A distribution may keep a file system's module in a package of its own: a boot would be late to find out.
  `for module in ${NEEDED_MODULES.join(' ')}; do chroot . modinfo -k "$kernel" -n "$module" > /dev/null 2>&1 || { echo "the kernel $kernel has no module $module" >&2; exit 1; }; done`,
  `if [ -e "boot/config-$kernel" ] && ! grep -q '^CONFIG_EROFS_FS_ZIP=y' "boot/config-$kernel"; then echo "the kernel $kernel cannot read a compressed erofs" >&2; exit 1; fi`,
  'mount -t tmpfs tmpfs usr/lib/dracut/modules.d',
  'mkdir usr/lib/dracut/modules.d/90seeder tmp/out',
  // A copy of root's, as dracut takes the owners along.
  'cp -a --no-preserve=ownership /module/. usr/lib/dracut/modules.d/90seeder/',
  'mount --bind /out tmp/out',
  ': > tmp/dracut.conf',
  'chroot . dracut --kver "$kernel" --no-hostonly --no-hostonly-cmdline --modules seeder --no-early-microcode --nofscks' +
    ' --reproducible --no-compress --conf /tmp/dracut.conf --confdir /var/tmp --tmpdir /var/tmp --quiet --force /tmp/out/initrd.cpio',
  // The image itself may have no compressor; the kernel reads zstd. One thread: more would cut it differently.
  'zstd -q -9 --single-thread --rm /out/initrd.cpio -o /out/initrd',
  'cp "boot/vmlinuz-$kernel" /out/vmlinuz',
  'printf %s "$kernel" > /out/kernel-version',
].join('\n')

/** Packs the initrd and returns the layer's folder, which holds `vmlinuz`, `initrd` and `kernel-version`. */
export async function packInitrd(
  project: string,
  lock: Lock,
  rootfs: Rootfs,
  tools: Tools,
  layers: Layers,
  scratch: string,
  unpackTree: () => Promise<void>,
): Promise<string> {
  const module = join(project, 'images', 'common', 'initrd')
  const files = await readTrees([module])
  const key = layerKey({ rootfs: rootfs.key, script: SCRIPT, module: treeKey(files) })
  return layers.get('initrd', key, scratch, async (target) => {
    await unpackTree()
    // A copy: dracut takes the modes of the files along, and a checkout's are as its umask was.
    const copy = join(scratch, 'initrd-module')
    await writeTree(files, copy)
    const enclosure = {
      tools: tools.folder,
      binds: [
        { from: insideOf(scratch), to: '/scratch', writable: true },
        { from: copy, to: '/module' },
        { from: target, to: '/out', writable: true },
      ],
      env: { SOURCE_DATE_EPOCH: String(lock.epoch) },
    }
    await runInside(enclosure, 'Packing the initrd', SCRIPT)
  })
}
