import { existsSync, statSync } from 'node:fs'
import { nodeName, vmsOf } from '../cluster.ts'
import { convert } from '../convert.ts'
import {
  drivesOf,
  freeUnused,
  hasVolume,
  isCdrom,
  isCloudInit,
  parseDrive,
  parseSize,
  printDrive,
  printSize,
  volumeOf,
  volumesOf,
} from '../drives.ts'
import { messageOf, ParameterError, PveError } from '../failure.ts'
import { passMoment } from '../faults.ts'
import type { Call } from '../getopt.ts'
import { formatOfName, readImageFile } from '../image-file.ts'
import { withConfigLock } from '../locks.ts'
import { err, say } from '../output.ts'
import { activate, isGone, placeOf, storageNamed, storages } from '../storage/registry.ts'
import { checkLock, loadConfig, writeConfig } from '../vm-config.ts'
import { inWorker } from '../worker.ts'

/** `qm disk import`: in this process, not in a worker. */
export async function importDisk(call: Call): Promise<void> {
  const vmid = Number(call.values.get('vmid'))
  const source = call.values.get('source') ?? ''
  const target = call.values.get('target-disk')
  const checked = loadConfig(vmid)
  checkLock(checked)
  if (!existsSync(source) || !statSync(source).isFile()) {
    throw new PveError(`${source}: non-existent or non-regular file`, 2)
  }
  const storage = storageNamed(call.values.get('storage') ?? '')
  if (!storage.content.includes('images')) {
    throw new ParameterError({ storage: `storage '${storage.name}' does not support vm images` })
  }
  activate(storage)
  const { size, format: probed } = readImageFile(source)
  const format = formatOfName(`.${call.values.get('format') ?? ''}`) ?? storage.formats[0]
  say(`importing disk '${source}' to VM ${vmid} ...`)
  await withConfigLock(vmid, async () => {
    const config = loadConfig(vmid)
    checkLock(config)
    const volume = await storage.allocate(vmid, format, size)
    const path = storage.path(volume)
    try {
      await convert({ path: source, format: formatOfName(source) ?? probed }, { path, format }, size)
    } catch (error) {
      await storage.free(volume)
      // Perl's errno of the attempt to remove the VM's folder, which other disks are in: 39 is "not empty".
      const status = storage.list().some((one) => one.vmid === vmid) ? 39 : 255
      throw new PveError(messageOf(error), status)
    }
    const option = target ?? freeUnused(config.values)
    const old = config.values.get(option)
    if (old !== undefined) config.values.set(freeUnused(config.values), volumeOf(parseDrive(option, old)))
    config.values.set(option, `${storage.name}:${volume}`)
    writeConfig(vmid, config)
    say(`${option}: successfully imported disk '${storage.name}:${volume}'`)
  })
}

interface ResizeWork {
  readonly vmid: number
  readonly disk: string
  readonly size: string
}

/** `qm disk resize`. It ends with 0 even when its worker fails, as the real one. */
export async function resize(call: Call): Promise<void> {
  const vmid = Number(call.values.get('vmid'))
  checkLock(loadConfig(vmid))
  const work: ResizeWork = {
    vmid,
    disk: call.values.get('disk') ?? '',
    size: call.values.get('size') ?? '',
  }
  try {
    await inWorker('resize', String(vmid), work)
  } catch (error) {
    err(`${messageOf(error)}\n`)
  }
}

/** The worker's part. */
export async function resizeWork({ vmid, disk, size }: ResizeWork): Promise<void> {
  await withConfigLock(vmid, async () => {
    const config = loadConfig(vmid)
    checkLock(config)
    const value = config.values.get(disk)
    if (value === undefined) throw new PveError(`disk '${disk}' does not exist`)
    const drive = parseDrive(disk, value)
    if (isCdrom(drive)) throw new PveError("you can't resize a cdrom")
    const { storage, volume } = placeOf(volumeOf(drive))
    activate(storage)
    const now = storage.size(volume)
    const bytes = size.startsWith('+') ? now + parseSize(size.slice(1)) : parseSize(size)
    if (bytes < now) throw new PveError('shrinking disks is not supported')
    if (bytes > now) await storage.resize(volume, bytes)
    await passMoment('middle')
    drive.properties.set('size', printSize(storage.size(volume)))
    config.values.set(disk, printDrive(drive))
    writeConfig(vmid, config)
  })
}

/** `qm disk rescan`. */
export async function rescan(call: Call): Promise<void> {
  say('rescan volumes...')
  const one = call.values.get('vmid')
  const volumes = storages()
    .filter((storage) => !isGone(storage) && storage.content.includes('images'))
    .flatMap((storage) => activate(storage).list())
    .filter(({ content, vmid }) => content === 'images' && vmid !== undefined)
  for (const vmid of one === undefined ? vmsOf(nodeName()) : [Number(one)]) {
    await withConfigLock(vmid, async () => {
      const config = loadConfig(vmid)
      const { values } = config
      for (const drive of drivesOf(values).filter((drive) => hasVolume(drive) && !isCloudInit(drive))) {
        const found = volumes.find(({ volid }) => volid === volumeOf(drive))
        const before = drive.properties.get('size') ?? '0T'
        if (found === undefined || printSize(found.size) === before) continue
        drive.properties.set('size', printSize(found.size))
        values.set(drive.option, printDrive(drive))
        say(
          `VM ${vmid} (${drive.option}): size of disk '${found.volid}' updated from ${before} to ${printSize(found.size)}`,
        )
      }
      for (const { volid } of volumes.filter((volume) => volume.vmid === vmid)) {
        if (volumesOf(values).includes(volid)) continue
        const option = freeUnused(values)
        values.set(option, volid)
        say(`VM ${vmid} add unreferenced volume '${volid}' as '${option}' to config`)
      }
      writeConfig(vmid, config)
    })
  }
}
