import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import { stableUuid } from '../image/stable-uuid.ts'
import { shellQuote } from './enclosure.ts'
import type { Opaque } from './hygiene.ts'
import type { Root } from './root.ts'
import type { Usr } from './usr.ts'
import { type BuildRun, insideOf, runStep } from './work.ts'

/** The kernel's command line. It is part of the UKI, and its `usrhash` ties kernel, initrd and /usr together. */
export function kernelCommandLine(usr: Usr, root: Root): string {
  return [
    `usrhash=${usr.roothash}`,
    `seeder.usr=erofs,${usr.blocks},${usr.salt}`,
    // For seeder-drift: the list on the root file system can be changed, its digest here cannot.
    `seeder.state=${root.stateList}`,
    // The initrd mounts the partitions, so systemd's generator has nothing to do.
    'systemd.gpt_auto=no',
    'console=tty0',
    'console=ttyS0,115200',
    // Network cards keep the kernel's names, which Proxmox VE's cloud-init drive uses.
    'net.ifnames=0',
    'loglevel=5',
    // The console shows only units that fail.
    'systemd.show_status=error',
    'panic=30',
    // The check compares timer interrupts with the processor's speed. On a busy host those of a virtual machine come too
    // late, and the kernel would panic. Under KVM the kernel skips the check itself.
    'no_timer_check',
  ].join(' ')
}

/** Half of a dm-verity root hash as the UUID of a partition, according to the discoverable partitions specification. */
export function partitionUuid(hexDigits: string): string {
  return hexDigits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** The GPT attribute of a file system that is never written to. */
const READ_ONLY = 60

/** A partition: the file of its content, inside the enclosure, and the file's size in bytes. */
export interface Partition {
  readonly name: string
  readonly type: string
  readonly uuid: string
  readonly content: string
  readonly size: number
  /** GPT attribute bits: 60 read-only, 59 grow the file system. */
  readonly attribute?: 59 | typeof READ_ONLY
}

const MIB = 1024 * 1024
const ESP_SIZE = 64 * MIB

/**
 * The disk's partitions in order. The types are those of the discoverable partitions specification for
 * x86-64; the initrd finds /usr and its hash tree by their names (images/common/initrd/init.sh).
 */
export function partitionsOf(
  image: Image,
  usr: Usr,
  sizes: { usr: number; verity: number; root: number },
): Partition[] {
  const id = usr.roothash.slice(0, 24)
  return [
    {
      name: 'esp',
      type: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
      uuid: stableUuid(`${image.name} esp partition`),
      content: '/scratch/esp.vfat',
      size: ESP_SIZE,
    },
    {
      name: `usr-${id}`,
      type: '8484680C-9521-48C6-9C11-B0720656F69E',
      uuid: partitionUuid(usr.roothash.slice(0, 32)),
      content: '/usr-layer/usr.erofs',
      size: sizes.usr,
      attribute: READ_ONLY,
    },
    {
      name: `verity-${id}`,
      type: '77FF5F63-E7B6-4633-ACF4-1565B864C0E6',
      uuid: partitionUuid(usr.roothash.slice(32)),
      content: '/usr-layer/usr.verity',
      size: sizes.verity,
      attribute: READ_ONLY,
    },
    {
      name: 'root',
      type: '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709',
      uuid: stableUuid(`${image.name} root partition`),
      content: '/scratch/root.ext4',
      size: sizes.root,
      attribute: 59,
    },
  ]
}

/** The partitions with their places on the disk: `start` and `length` in MiB. */
export function placePartitions<T extends Pick<Partition, 'size'>>(
  partitions: readonly T[],
): (T & { start: number; length: number })[] {
  let next = 1
  return partitions.map((partition) => {
    const start = next
    const length = Math.ceil(partition.size / MIB)
    next += length
    return { ...partition, start, length }
  })
}

/**
 * Shell text that writes the partition table and the contents. Every partition starts on a full MiB; runs of zeros stay holes.
 * It uses sfdisk and dd, because systemd-repart writes every zero and waits for the disk: see
 * docs/decisions/0002-disk-assembly.md.
 */
export function assemblyScript(image: Image, partitions: readonly Partition[]): string {
  const placed = placePartitions(partitions)
  const end = placed.reduce((last, { start, length }) => Math.max(last, start + length), 1)
  const table = [
    'label: gpt',
    `label-id: ${stableUuid(`${image.name} disk`)}`,
    'unit: sectors',
    'first-lba: 2048',
    ...placed.map(
      ({ start, length, type, uuid, name, attribute }) =>
        `start=${start * 2048}, size=${length * 2048}, type=${type}, uuid=${uuid}, name="${name}"${attribute ? `, attrs="GUID:${attribute}"` : ''}`,
    ),
  ]
  return [
    // One more MiB for the copy of the table at the end.
    `truncate -s ${end + 1}M /scratch/disk.raw`,
    `sfdisk --quiet --no-reread --no-tell-kernel /scratch/disk.raw << 'END'\n${table.join('\n')}\nEND`,
    ...placed.map(
      ({ content, start }) =>
        `dd if=${content} of=/scratch/disk.raw bs=1M seek=${start} conv=notrunc,sparse status=none`,
    ),
  ].join('\n')
}

/** Shell text that makes the unified kernel image, in the EFI system partition `esp.vfat` in the scratch folder. */
function espScript(image: Image, lock: Lock, usr: Usr, root: Root): string {
  const title = `seeder ${image.name} ${lock.version}`
  const serial = stableUuid(`${image.name} esp`).slice(0, 8)
  return [
    'mkdir -p /scratch/esp/EFI/BOOT',
    `printf 'NAME=%s\\nID=seeder\\nPRETTY_NAME="%s"\\nVERSION_ID=%s\\n' ${shellQuote(image.name)} ${shellQuote(title)} ${shellQuote(lock.version)} > /scratch/os-release`,
    `ukify build --linux=/initrd-layer/vmlinuz --initrd=/initrd-layer/initrd --uname="$(cat /initrd-layer/kernel-version)" --os-release=@/scratch/os-release --cmdline=${shellQuote(kernelCommandLine(usr, root))} --output=/scratch/esp/EFI/BOOT/BOOTX64.EFI > /dev/null`,
    `find /scratch/esp -exec touch -h -d @${lock.epoch} '{}' +`,
    `truncate -s ${ESP_SIZE} /scratch/esp.vfat`,
    `mkfs.vfat --invariant -F 32 -S 512 -i ${serial} -n ESP /scratch/esp.vfat > /dev/null`,
    'sha256sum < /scratch/esp/EFI/BOOT/BOOTX64.EFI > /scratch/uki.sha256',
    'mcopy -i /scratch/esp.vfat -spmQ /scratch/esp/EFI ::',
  ].join('\n')
}

/**
 * Assembles the raw disk and packs it as qcow2, both in the scratch folder (`disk.raw`, `disk.qcow2`). Without -W qemu-img
 * writes the clusters in order, so the qcow2 is reproducible as well.
 * @param initrd the folder of the initrd's layer
 * @returns the ranges of /usr and its hash tree on the disk, in bytes
 */
export async function assembleDisk(run: BuildRun, usr: Usr, root: Root, initrd: string): Promise<Opaque[]> {
  const { image, lock, scratch } = run
  const size = async (file: string) => (await stat(file)).size
  const partitions = partitionsOf(image, usr, {
    usr: await size(join(usr.folder, 'usr.erofs')),
    verity: await size(join(usr.folder, 'usr.verity')),
    root: await size(join(insideOf(scratch), 'root.ext4')),
  })
  const script = [
    espScript(image, lock, usr, root),
    assemblyScript(image, partitions),
    'qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd /scratch/disk.raw /scratch/disk.qcow2',
  ].join('\n')
  await runStep(run, 'Assembling the disk', script, {
    binds: [
      { from: usr.folder, to: '/usr-layer' },
      { from: initrd, to: '/initrd-layer' },
    ],
  })
  return placePartitions(partitions)
    .filter(({ attribute }) => attribute === READ_ONLY)
    .map(({ start, length }) => ({ start: start * MIB, end: (start + length) * MIB }))
}
