import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { SeederError } from '../report/error.ts'
import { foreignLine } from '../report/text-schemas.ts'
import { type Guest, propertyOf, tagsOf, uuidOf } from './guests.ts'

/**
 * The folder where `scripts/deploy.sh` keeps an entry for each template that it made: a file VMID of KEY=value lines.
 */
export const TEMPLATE_LEDGER = '/var/lib/seeder/templates'

/** An entry of that folder. A template without one is not ours. */
export interface TemplateEntry {
  readonly vmid: number
  readonly image: string
  /** As `3.0.11-1`. */
  readonly version: string
  readonly uuid: string
  /** Counts the promotions of this host: the highest is the newest. */
  readonly promoted: number
  /** The digests of a clone's /usr and UKI; entries of earlier versions do not have them. */
  readonly roothash?: string | undefined
  readonly uki?: string | undefined
}

/** A template that clones are made of. */
export interface Template extends TemplateEntry {
  /**
   * The system's disk: its slot, such as `scsi0`, its volume, and its size in bytes if the VM's configuration has it.
   */
  readonly disk: { readonly slot: string; readonly volume: string; readonly bytes: number | undefined }
  /** The settings that a clone takes over, by name. */
  readonly settings: ReadonlySet<string>
}

const entrySchema = z.object({
  VMID: z.coerce.number().int().positive(),
  IMAGE: foreignLine.min(1),
  VERSION: foreignLine.min(1),
  UUID: foreignLine.toLowerCase(),
  PROMOTED: z.coerce.number().default(0),
  USR_ROOTHASH: foreignLine.optional(),
  UKI_SHA256: foreignLine.optional(),
})

/** Parses an entry; undefined when it is not the entry of VM `vmid`. */
export function parseTemplateEntry(text: string, vmid: number): TemplateEntry | undefined {
  const values = Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const [, key, value = ''] = /^([A-Z_0-9]+)=(.*)$/.exec(line) ?? []
      return key === undefined ? [] : [[key, value]]
    }),
  )
  const parsed = entrySchema.safeParse(values)
  if (!parsed.success || parsed.data.VMID !== vmid) return undefined
  const { VMID, IMAGE, VERSION, UUID, PROMOTED, USR_ROOTHASH, UKI_SHA256 } = parsed.data
  return {
    vmid: VMID,
    image: IMAGE,
    version: VERSION,
    uuid: UUID,
    promoted: PROMOTED,
    roothash: USR_ROOTHASH,
    uki: UKI_SHA256,
  }
}

/** All entries of this host; an empty list where nothing was deployed yet. */
export async function readTemplateEntries(folder = TEMPLATE_LEDGER): Promise<TemplateEntry[]> {
  const files = await readdir(folder).catch(() => [])
  const entries = await Promise.all(
    files
      .filter((file) => /^\d+$/.test(file))
      .map(async (file) => parseTemplateEntry(await readFile(join(folder, file), 'utf8'), Number(file))),
  )
  return entries.filter((entry) => entry !== undefined)
}

/**
 * The template that clones of an image are made of: ours, on this Proxmox node, and promoted last of those that carry
 * the tag `current`. Undefined when there is none.
 */
export function findTemplate(
  image: string,
  node: string,
  guests: readonly Guest[],
  entries: readonly TemplateEntry[],
): Template | undefined {
  const found = guests.flatMap((guest): Template[] => {
    const tags = tagsOf(guest)
    const entry = entries.find(({ vmid, uuid }) => vmid === guest.vmid && uuid === uuidOf(guest))
    if (guest.kind !== 'qemu' || guest.node !== node || guest.settings.get('template') !== '1') return []
    if (entry?.image !== image || !['seeder', image, 'current'].every((tag) => tags.has(tag))) return []
    const disk = systemDisk(guest)
    // A failed conversion leaves a template without a base disk.
    return disk && /[:/]base-/.test(disk.volume)
      ? [{ ...entry, disk, settings: new Set(guest.settings.keys()) }]
      : []
  })
  return found.sort((a, b) => b.promoted - a.promoted)[0]
}

/**
 * As `findTemplate`.
 * @throws SeederError when there is none, or it has no cloud-init drive
 */
export function currentTemplate(
  image: string,
  node: string,
  guests: readonly Guest[],
  entries: readonly TemplateEntry[],
): Template {
  const template = findTemplate(image, node, guests, entries)
  if (!template) {
    throw new SeederError(`${node} has no template of ${image} that is current`, {
      fix: 'make one with scripts/deploy.sh; `scripts/deploy.sh --list` shows what is there',
    })
  }
  const guest = guests.find(({ vmid }) => vmid === template.vmid)
  if (![...(guest?.settings.values() ?? [])].some((value) => /[-:]cloudinit\b/.test(value))) {
    throw new SeederError(`The template of ${image}, VM ${template.vmid}, has no cloud-init drive`, {
      fix: `deploy it again, or add one: qm set ${template.vmid} --ide2 STORAGE:cloudinit`,
    })
  }
  return template
}

/** The disk that a VM boots from. */
export function systemDisk(guest: Guest): Template['disk'] | undefined {
  const [, slot = ''] = /order=([a-z]+\d+)/.exec(guest.settings.get('boot') ?? '') ?? []
  return diskAt(guest, slot)
}

/** The disk at a slot; undefined when there is none. */
export function diskAt(guest: Guest, slot: string): Template['disk'] | undefined {
  const value = guest.settings.get(slot)
  const volume = value?.split(',')[0]
  if (value === undefined || volume === undefined || !/^(scsi|virtio|sata|ide)\d+$/.test(slot))
    return undefined
  return { slot, volume, bytes: parseSize(propertyOf(value, 'size') ?? '') }
}

/** `1088M`, `528K`, `3G`, `1T` in bytes. Proxmox VE writes 0T for a size that it does not know. */
export function parseSize(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text) ?? []
  const bytes = Number(number) * 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf(unit)
  return bytes > 0 ? bytes : undefined
}
