import { existsSync } from 'node:fs'
import { convert } from '../convert.ts'
import {
  type Drive,
  drivesOf,
  hasVolume,
  isCloudInit,
  isDriveOption,
  printDrive,
  printSize,
  volumeOf,
} from '../drives.ts'
import { ParameterError, PveError } from '../failure.ts'
import { formatOfName, type ImageFormat, readImageFile } from '../image-file.ts'
import { say } from '../output.ts'
import { activate, placeOf, storageNamed } from '../storage/registry.ts'
import type { Storage } from '../storage/storage.ts'
import { loadConfig } from '../vm-config.ts'

const cloudInitBytes = 4 * 1024 ** 2
const tpmBytes = 4 * 1024 ** 2
const gibibyte = 1024 ** 3

/** `STORAGE:SIZE` or `STORAGE:cloudinit`: a request for a new volume. */
function request(drive: Drive): { storage: string; size: string } | undefined {
  const [, storage, size] = /^([^:/\s]+):(\d+(?:\.\d+)?|cloudinit)$/.exec(volumeOf(drive)) ?? []
  return storage === undefined || size === undefined ? undefined : { storage, size }
}

/**
 * Refuses impossible drives before anything is done.
 * @throws ParameterError, PveError
 */
export function checkRequests(drives: readonly Drive[]): void {
  for (const drive of drives) {
    const { option, properties } = drive
    const wanted = request(drive)
    if (properties.has('import-from') && wanted?.size !== '0') {
      throw new ParameterError({
        [option]: `'import-from' requires special syntax - use <storage ID>:0,import-from=<source>`,
      })
    }
    if (wanted !== undefined) {
      const storage = storageNamed(wanted.storage)
      if (!storage.content.includes('images')) {
        throw new ParameterError({ storage: `storage '${storage.name}' does not support vm images` })
      }
    } else if (volumeOf(drive).startsWith('/')) {
      throw new ParameterError({ [option]: `unable to associate path '${volumeOf(drive)}' to any storage` })
    } else if (hasVolume(drive)) {
      placeOf(volumeOf(drive))
    }
  }
}

/** What a drive is made for. */
export interface Provision {
  readonly vmid: number
  /** The configuration as it is so far. */
  readonly values: ReadonlyMap<string, string>
  /** A template's new disks are bases at once. */
  readonly template: boolean
  /** Gets the id of every volume that was made. */
  readonly created: string[]
}

/**
 * Makes the volume that a drive requests, or checks the one it names; returns the drive for the configuration.
 * @throws PveError; what was made until then is in `created`
 */
export async function provision(drive: Drive, need: Provision): Promise<Drive> {
  const wanted = request(drive)
  if (wanted === undefined) return hasVolume(drive) ? attach(drive) : drive
  const storage = activate(storageNamed(wanted.storage))
  const made = await makeVolume(drive, wanted.size, storage, need)
  need.created.push(`${storage.name}:${made.volume}`)
  await made.fill?.()
  let { volume } = made
  if (need.template && !isCloudInit(withFile(drive, `${storage.name}:${volume}`))) {
    volume = await storage.makeBase(volume)
    need.created.splice(-1, 1, `${storage.name}:${volume}`)
  }
  const finished = withFile(drive, `${storage.name}:${volume}`)
  for (const key of ['format', 'import-from', 'size']) finished.properties.delete(key)
  if (made.sized) finished.properties.set('size', printSize(storage.size(volume)))
  if (wanted.size === 'cloudinit') finished.properties.set('media', 'cdrom')
  say(`${drive.option}: successfully created disk '${printDrive(finished)}'`)
  return finished
}

function withFile({ option, properties }: Drive, file: string): Drive {
  return { option, properties: new Map(properties).set('file', file) }
}

function attach(drive: Drive): Drive {
  const { storage, volume } = placeOf(volumeOf(drive))
  activate(storage)
  if (!storage.exists(volume)) throw new PveError(`volume '${volumeOf(drive)}' does not exist`)
  if (isCloudInit(drive)) return drive
  const attached = withFile(drive, volumeOf(drive))
  attached.properties.set('size', printSize(storage.size(volume)))
  return attached
}

/** A volume that has been made, and what is still to be put into it. */
interface Made {
  readonly volume: string
  readonly sized: boolean
  readonly fill?: () => Promise<void>
}

async function makeVolume(drive: Drive, size: string, storage: Storage, need: Provision): Promise<Made> {
  const { option, properties } = drive
  const { vmid } = need
  const format = wantedFormat(drive) ?? storage.formats[0]
  if (size === 'cloudinit') return makeCloudInit(drive, storage, need)
  if (properties.has('import-from')) return importVolume(drive, storage, need)
  if (option.startsWith('efidisk')) return makeFirmwareDisk(drive, storage, vmid, format)
  if (option.startsWith('tpmstate')) {
    return { volume: await storage.allocate(vmid, 'raw', tpmBytes), sized: true }
  }
  return { volume: await storage.allocate(vmid, format, Math.floor(Number(size) * gibibyte)), sized: true }
}

function wantedFormat({ properties }: Drive): ImageFormat | undefined {
  return formatOfName(`.${properties.get('format') ?? ''}`)
}

async function makeCloudInit(drive: Drive, storage: Storage, need: Provision): Promise<Made> {
  const other = drivesOf(need.values).find((one) => isCloudInit(one))
  if (other !== undefined && other.option !== drive.option) {
    throw new PveError(`${drive.option} - cloud-init drive is already attached at '${other.option}'`)
  }
  const qcow2 = storage.formats.find((one) => one === 'qcow2')
  const format = wantedFormat(drive) ?? qcow2 ?? 'raw'
  const name = `vm-${need.vmid}-cloudinit${storage.formats.length > 1 ? `.${format}` : ''}`
  if (other !== undefined) {
    const old = placeOf(volumeOf(other))
    if (old.storage.exists(old.volume)) await old.storage.free(old.volume)
  }
  return { volume: await storage.allocate(need.vmid, format, cloudInitBytes, name), sized: false }
}

const firmwareFolder = '/usr/share/pve-edk2-firmware/'

/** The pristine variables of the firmware: Proxmox VE's own package has them, or Debian's. */
function firmwareVariables(enrolled: boolean): string {
  const name = enrolled ? 'OVMF_VARS_4M.ms.fd' : 'OVMF_VARS_4M.fd'
  const found = [`${firmwareFolder}${name}`, `/usr/share/OVMF/${name}`].find((path) => existsSync(path))
  if (found === undefined) throw new PveError(`EFI vars image '${firmwareFolder}/${name}' not found`)
  return found
}

async function makeFirmwareDisk(
  { properties }: Drive,
  storage: Storage,
  vmid: number,
  format: ImageFormat,
): Promise<Made> {
  if (properties.get('efitype') !== '4m') {
    throw new PveError(`EFI base image '${firmwareFolder}/OVMF_CODE.fd' not found`)
  }
  const enrolled = properties.get('pre-enrolled-keys') === '1'
  const source = firmwareVariables(enrolled)
  const { size } = readImageFile(source)
  const volume = await storage.allocate(vmid, format, size)
  const fill = async () => {
    await convert({ path: source, format: 'raw' }, { path: storage.path(volume), format }, size)
    if (!enrolled) return
    say(`INFO: reading raw edk2 varstore from ${firmwareFolder}/OVMF_VARS_4M.ms.fd`)
    say('INFO: var store range: 0x64 -> 0x40000')
  }
  return { volume, sized: true, fill }
}

async function importVolume(drive: Drive, storage: Storage, { vmid }: Provision): Promise<Made> {
  const from = drive.properties.get('import-from') ?? ''
  if (from.startsWith('/')) {
    if (!existsSync(from)) throw new PveError(`can't find file '${from}'`)
    const { size, format: probed, backing } = readImageFile(from)
    if (backing !== undefined) throw new PveError(`backing file not allowed for untrusted image '${from}'!`)
    const format = wantedFormat(drive) ?? storage.formats[0]
    const volume = await storage.allocate(vmid, format, size)
    const source = { path: from, format: formatOfName(from) ?? probed }
    return {
      volume,
      sized: true,
      fill: () => convert(source, { path: storage.path(volume), format }, size),
    }
  }
  const source = placeOf(from)
  activate(source.storage)
  const size = source.storage.size(source.volume)
  const format = wantedFormat(drive) ?? matchingFormat(source.storage.format(source.volume), storage)
  const option = optionOf(from, source.storage.owner(source.volume))
  say(`create full clone of drive ${option === undefined ? '' : `${option} `}(${from})`)
  const volume = await storage.allocate(vmid, format, size)
  say(`allocated target volume '${storage.name}:${volume}'`)
  const path = source.storage.path(source.volume)
  const image = { path, format: source.storage.format(source.volume) }
  return {
    volume,
    sized: true,
    fill: () => convert(image, { path: storage.path(volume), format }, size),
  }
}

/** The source's own format where the storage can have it. */
export function matchingFormat(format: ImageFormat, storage: Storage): ImageFormat {
  return storage.formats.includes(format) ? format : storage.formats[0]
}

/** The drive of a VM that has a volume. */
function optionOf(volid: string, vmid: number | undefined): string | undefined {
  if (vmid === undefined) return undefined
  return drivesOf(loadConfig(vmid).values).find((drive) => volumeOf(drive) === volid)?.option
}

/** The drives among a command's options. */
export function requestedDrives(values: ReadonlyMap<string, string>): Drive[] {
  return drivesOf(new Map([...values].filter(([option]) => isDriveOption(option))))
}

/** Removes what had been made for something that then failed. */
export async function freeVolumes(volids: readonly string[]): Promise<void> {
  for (const volid of volids) {
    const { storage, volume } = placeOf(volid)
    if (storage.exists(volume)) await storage.free(volume)
  }
}
