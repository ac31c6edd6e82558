import { randomUUID } from 'node:crypto'
import { nodeOf } from '../cluster.ts'
import { convert } from '../convert.ts'
import {
  type Drive,
  drivesOf,
  hasVolume,
  isCdrom,
  isCloudInit,
  isUnused,
  printDrive,
  printSize,
  volumeOf,
} from '../drives.ts'
import { messageOf, PveError } from '../failure.ts'
import { passMoment } from '../faults.ts'
import type { Call } from '../getopt.ts'
import { formatOfName } from '../image-file.ts'
import { withConfigLock } from '../locks.ts'
import { say } from '../output.ts'
import { activate, placeOf, storageNamed } from '../storage/registry.ts'
import { checkLock, emptyConfig, loadConfig, removeConfig, type VmConfig, writeConfig } from '../vm-config.ts'
import { inWorker } from '../worker.ts'
import { freeVolumes, matchingFormat } from './provision.ts'
import { newMac, printNet } from './values.ts'

interface CloneWork {
  readonly vmid: number
  readonly newid: number
  readonly full: boolean
  readonly name: string | undefined
  readonly description: string | undefined
  readonly storage: string | undefined
  readonly format: string | undefined
}

/** `qm clone`: linked from a template unless it is to be full, and full from anything else. */
export async function clone(call: Call, onStart?: (upid: string) => void): Promise<void> {
  const { values } = call
  const vmid = Number(values.get('vmid'))
  const newid = Number(values.get('newid'))
  const source = loadConfig(vmid)
  checkLock(source)
  const snapshot = values.get('snapname')
  if (snapshot !== undefined && !source.snapshots.has(snapshot)) {
    throw new PveError(`snapshot '${snapshot}' does not exist`, 2)
  }
  const full = values.has('full') ? values.get('full') === '1' : source.values.get('template') !== '1'
  for (const option of ['storage', 'format']) {
    if (!full && values.has(option)) {
      throw new PveError(`parameter '${option}' not allowed for linked clones`, 2)
    }
  }
  await claim(newid)
  const work: CloneWork = {
    vmid,
    newid,
    full,
    name: values.get('name'),
    description: values.get('description'),
    storage: values.get('storage'),
    format: values.get('format'),
  }
  await inWorker('qmclone', String(vmid), work, onStart)
}

/** Takes an id for a clone. */
async function claim(newid: number): Promise<void> {
  const check = () => {
    if (nodeOf(newid) !== undefined) {
      throw new PveError(`unable to create VM ${newid}: config file already exists`, 2)
    }
  }
  check()
  await withConfigLock(newid, async () => {
    check()
    const config = emptyConfig()
    config.values.set('lock', 'clone')
    config.values.set('description', ' qmclone temporary file')
    writeConfig(newid, config)
  })
}

/** The worker's part. */
export async function cloneWork(work: CloneWork): Promise<void> {
  const { vmid, newid } = work
  say(`creating a clone of VM ${vmid} with ID ${newid}`)
  const created: string[] = []
  try {
    await withConfigLock(newid, async () => {
      const source = loadConfig(vmid)
      const values = clonedValues(work, source)
      for (const drive of drivesOf(values).filter(hasVolume)) {
        values.set(drive.option, printDrive(await cloneDrive(drive, work, created)))
        await passMoment('middle')
      }
      writeConfig(newid, { values, snapshots: new Map() })
    })
  } catch (error) {
    await freeVolumes(created)
    removeConfig(newid)
    throw new PveError(`clone failed: ${messageOf(error)}`)
  }
}

/** What a clone has of its source, its drives still the source's. */
function clonedValues({ vmid, name, description }: CloneWork, source: VmConfig): Map<string, string> {
  const left = new Set('template lock parent snaptime snapstate vmstate description protection'.split(' '))
  const values = new Map<string, string>()
  for (const [option, value] of source.values) {
    if (left.has(option) || isUnused(option)) continue
    values.set(option, /^net\d+$/.test(option) ? printNet(value, newMac()) : value)
  }
  values.set('name', name ?? `Copy-of-VM-${source.values.get('name') ?? vmid}`)
  if (description !== undefined) values.set('description', description)
  values.set('smbios1', withNewUuid(source.values.get('smbios1') ?? ''))
  if (source.values.get('vmgenid') !== '0') values.set('vmgenid', randomUUID())
  return values
}

function withNewUuid(smbios: string): string {
  const others = smbios.split(',').filter((part) => part !== '' && !part.startsWith('uuid='))
  return [`uuid=${randomUUID()}`, ...others].join(',')
}

async function cloneDrive(drive: Drive, work: CloneWork, created: string[]): Promise<Drive> {
  const volid = volumeOf(drive)
  const source = placeOf(volid)
  activate(source.storage)
  const { option } = drive
  if (isCdrom(drive) && !isCloudInit(drive)) return drive
  const cloned: Drive = { option, properties: new Map(drive.properties) }
  // A TPM's state cannot be an overlay, and cloud-init's drive is written again anyway.
  const mustCopy = option.startsWith('tpmstate') || isCloudInit(drive)
  if (!work.full && !mustCopy) {
    if (!source.storage.canLink(source.volume)) {
      throw new PveError(`Linked clone feature is not supported for '${volid}' (${option})`)
    }
    say(`create linked clone of drive ${option} (${volid})`)
    const volume = await source.storage.linkedClone(source.volume, work.newid)
    created.push(`${source.storage.name}:${volume}`)
    cloned.properties.set('file', `${source.storage.name}:${volume}`)
    cloned.properties.set('size', printSize(source.storage.size(volume)))
    return cloned
  }
  say(`create full clone of drive ${option} (${volid})`)
  const storage = activate(work.storage === undefined ? source.storage : storageNamed(work.storage))
  const sourceFormat = source.storage.format(source.volume)
  const wanted = option.startsWith('tpmstate') ? 'raw' : formatOfName(`.${work.format ?? ''}`)
  const format = wanted ?? matchingFormat(sourceFormat, storage)
  const size = source.storage.size(source.volume)
  const name = isCloudInit(drive)
    ? `vm-${work.newid}-cloudinit${storage.formats.length > 1 ? `.${format}` : ''}`
    : undefined
  const volume = await storage.allocate(work.newid, format, size, name)
  created.push(`${storage.name}:${volume}`)
  say(`allocated target volume '${storage.name}:${volume}'`)
  if (!isCloudInit(drive)) {
    const from = { path: source.storage.path(source.volume), format: sourceFormat }
    // The firmware's variables are copied by other means, which say nothing.
    await convert(from, { path: storage.path(volume), format }, size, option.startsWith('efidisk'))
  }
  cloned.properties.set('file', `${storage.name}:${volume}`)
  cloned.properties.set('size', printSize(storage.size(volume)))
  return cloned
}
