import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { listFiles } from '../evidence/inventory.ts'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import { stableUuid } from '../image/stable-uuid.ts'
import { shellQuote } from './enclosure.ts'
import { RECORD_PACKAGES, USR_LISTS } from './evidence.ts'
import { requireClean } from './hygiene.ts'
import { layerKey } from './layers.ts'
import { findPrivateKeys } from './private-keys.ts'
import type { Rootfs } from './rootfs.ts'
import { type TreeFile, treeKey, writeTree } from './tree.ts'
import { type BuildRun, queryTree, runStep } from './work.ts'

/** The read-only /usr, and the packages' files outside it. */
export interface Usr {
  /**
   * Has `usr.erofs`, `usr.verity`, `state.tar` (the packages' files outside /usr), and the records for `gatherEvidence`.
   */
  readonly folder: string
  /** dm-verity root hash, hex. */
  readonly roothash: string
  readonly salt: string
  /** Data blocks of 4096 bytes. */
  readonly blocks: number
  readonly key: string
}

/** erofs options, measured in docs/decisions/0003-usr-compression.md. */
export const EROFS_OPTIONS = ['-zlz4hc,6', '-C16384', '--workers=2']

/**
 * Makes /usr: the files of packages and of the definition, with units enabled and disabled, as an erofs with its dm-verity
 * hash tree. Every time stamp is the epoch; ids of the file systems only depend on the image.
 */
export async function makeUsr(run: BuildRun, rootfs: Rootfs, files: readonly TreeFile[]): Promise<Usr> {
  const { image, lock, layers, scratch } = run
  const script = usrScript(image, lock)
  const key = layerKey({ rootfs: rootfs.key, script, search: SEARCH, files: treeKey(files) })
  const folder = await layers.get('usr', key, scratch, async (target) => {
    await rootfs.unpack()
    const own = join(scratch, 'usr-files')
    await writeTree(files, own)
    await runStep(run, 'Making /usr', script, {
      binds: [
        { from: own, to: '/files' },
        { from: target, to: '/out', writable: true },
      ],
    })
    const findings = await queryTree(run, 'Searching /usr', SEARCH, { binds: [] })
    requireClean('/usr', findings)
  })
  const roothash = (await readFile(join(folder, 'roothash'), 'utf8')).trim()
  const blocks = Number(await readFile(join(folder, 'blocks'), 'utf8'))
  return { folder, roothash, salt: saltOf(image), blocks, key }
}

/** Prints a line per private key. */
const SEARCH = `cd /scratch/tree\n${findPrivateKeys('/usr')}`

// /boot is not in the image. kubeadm and others also read the kernel's configuration beside its modules, where Debian's
// newer kernels have it.
const KERNEL_CONFIG = `
for file in boot/config-*; do
  copy="usr/lib/modules/\${file#boot/config-}/config"
  if [ -e "$file" ] && [ ! -e "$copy" ]; then cp --no-preserve=all "$file" "$copy"; fi
done`

function saltOf(image: Image): string {
  return stableUuid(`${image.name} verity salt`).replaceAll('-', '').repeat(2)
}

function usrScript(image: Image, lock: Lock): string {
  const units = (verb: 'enable' | 'disable' | 'mask') => [
    ...image.base.services[verb],
    ...image.services[verb],
  ]
  const systemctl = (verb: 'enable' | 'disable' | 'mask') =>
    units(verb).length > 0
      ? [`systemctl --root=/scratch/tree --quiet ${verb} ${units(verb).map(shellQuote).join(' ')}`]
      : []
  return [
    'cd /scratch/tree',
    'cp -a --no-preserve=ownership /files/. .',
    ...systemctl('disable'),
    ...systemctl('enable'),
    ...systemctl('mask'),
    `printf 'IMAGE_ID=%s\\nIMAGE_VERSION=%s\\n' ${image.name} ${shellQuote(lock.version)} >> usr/lib/os-release`,
    // The firmware starts the kernel in the boot partition, and nobody reads this one.
    'rm -f usr/lib/modules/*/vmlinuz',
    KERNEL_CONFIG,
    RECORD_PACKAGES,
    listFiles('usr', USR_LISTS),
    `mkfs.erofs --quiet -U ${stableUuid(`${image.name} usr`)} -T ${lock.epoch} ${EROFS_OPTIONS.join(' ')} /out/usr.erofs usr`,
    `veritysetup format --salt=${saltOf(image)} --uuid=${stableUuid(`${image.name} verity`)} --root-hash-file=/out/roothash /out/usr.erofs /out/usr.verity > /dev/null`,
    'echo $(($(stat -c %s /out/usr.erofs) / 4096)) > /out/blocks',
    'tar -cf /out/state.tar --numeric-owner --xattrs --sort=name --exclude=./usr/?* --exclude=./boot/?* .',
  ].join('\n')
}
