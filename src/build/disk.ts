import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import { privateKeyInDisk, requireClean } from './hygiene.ts'
import { runInside, shellQuote } from './namespace.ts'
import { stableUuid } from './rootfs.ts'
import type { Tools } from './tools.ts'
import type { Usr } from './usr.ts'

/** The kernel's command line. It is part of the UKI, and through `usrhash` it ties kernel, initrd and /usr together. */
export function kernelCommandLine(usr: Usr): string {
  return [
    `usrhash=${usr.roothash}`,
    `seeder.usr=erofs,${usr.blocks},${usr.salt}`,
    // The root and /usr partitions are mounted by the initrd; nothing is left for the generator to find.
    'systemd.gpt_auto=no',
    'console=tty0',
    'console=ttyS0,115200',
    'loglevel=5',
    'panic=30',
  ].join(' ')
}

/** A dm-verity root hash's half as the partition's UUID, as the discoverable partitions specification has it. */
export function partitionUuid(hexDigits: string): string {
  return hexDigits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/**
 * The partitions for systemd-repart: file name → its text. Their order on the disk is the order of the names.
 * The initrd finds /usr and its hash tree by their labels (images/common/initrd/init.sh).
 */
export function partitionDefinitions(usr: Usr): Record<string, string> {
  const section = (settings: Record<string, string>) =>
    `[Partition]\n${Object.entries(settings)
      .map(([key, value]) => `${key}=${value}\n`)
      .join('')}`
  return {
    '10-esp.conf': section({
      Type: 'esp',
      Format: 'vfat',
      CopyFiles: '/work/esp:/',
      SizeMinBytes: '64M',
      SizeMaxBytes: '64M',
    }),
    '20-usr.conf': section({
      Type: 'usr-x86-64',
      CopyBlocks: '/usr-layer/usr.erofs',
      UUID: partitionUuid(usr.roothash.slice(0, 32)),
      Label: `usr-${usr.roothash.slice(0, 24)}`,
      ReadOnly: 'yes',
    }),
    '30-usr-verity.conf': section({
      Type: 'usr-x86-64-verity',
      CopyBlocks: '/usr-layer/usr.verity',
      UUID: partitionUuid(usr.roothash.slice(32)),
      Label: `verity-${usr.roothash.slice(0, 24)}`,
      ReadOnly: 'yes',
    }),
    '40-root.conf': section({
      Type: 'root-x86-64',
      CopyBlocks: '/work/root.ext4',
      Label: 'root',
      GrowFileSystem: 'yes',
    }),
  }
}

/**
 * Assembles the raw disk and packs it as qcow2, both in the scratch folder (`disk.raw`, `disk.qcow2`).
 * qemu-img writes the clusters in order, one thread compressing ahead of it, so the qcow2 is reproducible as well.
 */
export async function assembleDisk(
  image: Image,
  lock: Lock,
  usr: Usr,
  initrd: string,
  tools: Tools,
  scratch: string,
): Promise<void> {
  const definitions = join(scratch, 'repart.d')
  await mkdir(definitions)
  for (const [name, text] of Object.entries(partitionDefinitions(usr)))
    await writeFile(join(definitions, name), text)
  const script = [
    'mkdir -p /work/esp/EFI/BOOT',
    'uname=$(cat /initrd-layer/kernel-version)',
    `printf 'NAME=%s\\nID=seeder\\nPRETTY_NAME=%s\\nVERSION_ID=%s\\n' ${shellQuote(image.name)} ${shellQuote(`seeder ${image.name} ${lock.version}`)} ${shellQuote(lock.version)} > /work/os-release`,
    `ukify build --linux=/initrd-layer/vmlinuz --initrd=/initrd-layer/initrd --uname="$uname" --os-release=@/work/os-release --cmdline=${shellQuote(kernelCommandLine(usr))} --output=/work/esp/EFI/BOOT/BOOTX64.EFI > /dev/null`,
    `find /work/esp -exec touch -h -d @${lock.epoch} '{}' +`,
    // 512: with repart's default of 4096 the FAT's sectors are that size and UEFI firmware does not see it.
    `systemd-repart --offline=yes --no-pager --sector-size=512 --empty=create --size=auto --dry-run=no --seed=${stableUuid(`${image.name} disk`)} --definitions=/work/repart.d /work/disk.raw > /dev/null`,
    privateKeyInDisk('/work/disk.raw'),
    'qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd /work/disk.raw /work/disk.qcow2',
  ].join('\n')
  const enclosure = {
    tools: tools.folder,
    binds: [
      { from: scratch, to: '/work' },
      { from: usr.folder, to: '/usr-layer' },
      { from: initrd, to: '/initrd-layer' },
    ],
    env: { SOURCE_DATE_EPOCH: String(lock.epoch) },
  }
  requireClean('the disk', await runInside(enclosure, 'Assembling the disk', script))
}
