import { joinProperties, type Properties, splitProperties } from './property-string.ts'
import { driveSchemas } from './vm-options.ts'

/** A drive of a VM: its option and its properties; `file` is its volume. */
export interface Drive {
  readonly option: string
  readonly properties: Properties
}

/** Whether an option is a drive. Unused ones are none. */
export function isDriveOption(option: string): boolean {
  return /^(ide|sata|scsi|virtio|efidisk|tpmstate)\d+$/.test(option)
}

export function isUnused(option: string): boolean {
  return /^unused\d+$/.test(option)
}

/** Reads a drive's value, which has been checked or was written by us. */
export function parseDrive(option: string, value: string): Drive {
  const schema = driveSchemas[option.replace(/\d+$/, '')]
  const properties = schema === undefined ? '' : splitProperties(value, schema)
  return { option, properties: typeof properties === 'string' ? new Map() : properties }
}

export function printDrive({ properties }: Drive): string {
  return joinProperties(properties, 'file')
}

export function volumeOf({ properties }: Drive): string {
  return properties.get('file') ?? ''
}

export function isCdrom({ properties }: Drive): boolean {
  return properties.get('media') === 'cdrom'
}

export function isCloudInit(drive: Drive): boolean {
  return isCdrom(drive) && /[:/]vm-\d+-cloudinit(\.|$)/.test(volumeOf(drive))
}

/** Whether there is a volume behind a drive at all. */
export function hasVolume(drive: Drive): boolean {
  return /^[^/:\s]+:.+$/.test(volumeOf(drive))
}

/** A configuration's drives, by their names. */
export function drivesOf(values: ReadonlyMap<string, string>): Drive[] {
  return [...values]
    .filter(([option]) => isDriveOption(option))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([option, value]) => parseDrive(option, value))
}

/** All volumes of a configuration, those of its unused drives among them. */
export function volumesOf(values: ReadonlyMap<string, string>): string[] {
  const unused = [...values].filter(([option]) => isUnused(option)).map(([, value]) => value)
  return [...drivesOf(values).filter(hasVolume).map(volumeOf), ...unused]
}

/** The next free `unusedN`. */
export function freeUnused(values: ReadonlyMap<string, string>): string {
  for (let index = 0; ; index++) {
    if (!values.has(`unused${index}`)) return `unused${index}`
  }
}

const units = ['K', 'M', 'G', 'T']

/** A size as configurations have it: in the largest unit of which it is a whole number. */
export function printSize(bytes: number): string {
  let unit = ''
  let value = bytes
  for (const next of units) {
    if (value % 1024 !== 0) break
    value /= 1024
    unit = next
  }
  return `${value}${unit}`
}

/** Bytes of a size such as `1088M`; without a unit it is bytes. */
export function parseSize(size: string): number {
  const [, number = '0', unit = ''] = /^(\d+(?:\.\d+)?)([KMGT])?$/.exec(size) ?? []
  return Math.floor(Number(number) * 1024 ** (units.indexOf(unit) + 1))
}

/** The first of the devices a VM starts from that is a disk. */
export function bootDisk(values: ReadonlyMap<string, string>): Drive | undefined {
  const order = /order=([^,]*)/.exec(values.get('boot') ?? '')?.[1]?.split(';') ?? []
  return order
    .flatMap((option) =>
      isDriveOption(option) && values.has(option) ? [parseDrive(option, values.get(option) ?? '')] : [],
    )
    .find((drive) => !isCdrom(drive))
}

/** What a new VM starts from when nobody says: its first disk, its first CD-ROM drive, its first network card. */
export function defaultBoot(values: ReadonlyMap<string, string>): string {
  const names = ['ide', 'scsi', 'virtio', 'sata'].flatMap((bus) =>
    [...Array(31).keys()].map((n) => `${bus}${n}`),
  )
  const drives = names.flatMap((option) => {
    const value = values.get(option)
    return value === undefined ? [] : [parseDrive(option, value)]
  })
  const card = [...values.keys()].filter((key) => /^net\d+$/.test(key)).sort()[0]
  const devices = [drives.find((one) => !isCdrom(one))?.option, drives.find(isCdrom)?.option, card]
  return printBoot(devices.filter((one) => one !== undefined))
}

/** A boot order's value; for no devices it is empty. */
export function printBoot(devices: readonly string[]): string {
  return devices.length === 0 ? '' : `order=${devices.join(';')}`
}
