import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { listFiles } from '../evidence/inventory.ts'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import { stableUuid } from '../image/stable-uuid.ts'
import { RECORD_PACKAGES, USR_LISTS } from './evidence.ts'
import { requireClean } from './hygiene.ts'
import { type Layers, layerKey } from './layers.ts'
import { runInside } from './namespace.ts'
import { findPrivateKeys } from './private-keys.ts'
import type { Rootfs } from './rootfs.ts'
import { shellQuote } from './shell-quote.ts'
import type { Tools } from './tools.ts'
import { type TreeFile, treeKey, writeTree } from './tree.ts'
import { insideOf } from './work.ts'

/** The read-only half of an image, and the packages' share of the other one. */
export interface Usr {
  /**
   * Holds `usr.erofs`, `usr.verity` and `state.tar`: everything outside /usr, without the definition's files. And what
   * `gatherEvidence` reads.
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
 * Makes /usr: the packages' files, the definition's files below /usr, units enabled and disabled, then an erofs and
 * its dm-verity hash tree. Every time stamp is the epoch; ids of the file systems only depend on the image.
 */
export async function makeUsr(
  image: Image,
  lock: Lock,
  files: readonly TreeFile[],
  rootfs: Rootfs,
  tools: Tools,
  layers: Layers,
  scratch: string,
  unpackTree: () => Promise<void>,
): Promise<Usr> {
  const script = usrScript(image, lock)
  const key = layerKey({ rootfs: rootfs.key, script, files: treeKey(files) })
  const folder = await layers.get('usr', key, scratch, async (target) => {
    await unpackTree()
    const own = join(scratch, 'usr-files')
    await writeTree(files, own)
    const enclosure = {
      tools: tools.folder,
      binds: [
        { from: insideOf(scratch), to: '/scratch', writable: true },
        { from: own, to: '/files' },
        { from: target, to: '/out', writable: true },
      ],
      env: { SOURCE_DATE_EPOCH: String(lock.epoch) },
    }
    requireClean('/usr', await runInside(enclosure, 'Making /usr', script))
  })
  const roothash = (await readFile(join(folder, 'roothash'), 'utf8')).trim()
  const blocks = Number(await readFile(join(folder, 'blocks'), 'utf8'))
  return { folder, roothash, salt: saltOf(image), blocks, key }
}

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
    RECORD_PACKAGES,
    listFiles('usr', USR_LISTS),
    `mkfs.erofs --quiet -U ${stableUuid(`${image.name} usr`)} -T ${lock.epoch} ${EROFS_OPTIONS.join(' ')} /out/usr.erofs usr`,
    `veritysetup format --salt=${saltOf(image)} --uuid=${stableUuid(`${image.name} verity`)} --root-hash-file=/out/roothash /out/usr.erofs /out/usr.verity > /dev/null`,
    'echo $(($(stat -c %s /out/usr.erofs) / 4096)) > /out/blocks',
    findPrivateKeys('/usr'),
    'tar -cf /out/state.tar --numeric-owner --xattrs --sort=name --exclude=./usr/?* --exclude=./boot/?* .',
  ].join('\n')
}
