import { drivesOf, hasVolume, isCdrom, printDrive, volumeOf } from '../drives.ts'
import { messageOf, PveError } from '../failure.ts'
import { passMoment } from '../faults.ts'
import type { Call } from '../getopt.ts'
import { withConfigLock } from '../locks.ts'
import { err } from '../output.ts'
import { runningPid } from '../running.ts'
import { activate, placeOf } from '../storage/registry.ts'
import { checkLock, loadConfig, type VmConfig, writeConfig } from '../vm-config.ts'
import { inWorker } from '../worker.ts'

interface TemplateWork {
  readonly vmid: number
  readonly disk: string | undefined
}

/** `qm template`. It ends with 0 even when its worker fails, as the real one. */
export async function template(call: Call, onStart?: (upid: string) => void): Promise<void> {
  const vmid = Number(call.values.get('vmid'))
  const work: TemplateWork = { vmid, disk: call.values.get('disk') }
  checkConvertible(vmid, loadConfig(vmid), work.disk)
  try {
    await inWorker('qmtemplate', String(vmid), work, onStart)
  } catch (error) {
    err(`${messageOf(error)}\n`)
  }
}

function checkConvertible(vmid: number, config: VmConfig, disk: string | undefined): void {
  checkLock(config)
  if (config.snapshots.size > 0) {
    throw new PveError('unable to create template, because VM contains snapshots')
  }
  if (config.values.get('template') === '1' && disk === undefined) {
    throw new PveError("you can't convert a template to a template")
  }
  if (runningPid(vmid) !== undefined)
    throw new PveError("you can't convert a VM to template if VM is running")
}

/** The worker's part. */
export async function templateWork({ vmid, disk }: TemplateWork): Promise<void> {
  await withConfigLock(vmid, async () => {
    const config = loadConfig(vmid)
    checkConvertible(vmid, config, disk)
    config.values.set('template', '1')
    writeConfig(vmid, config)
    await passMoment('middle')
    for (const drive of drivesOf(config.values)) {
      if (!hasVolume(drive) || isCdrom(drive)) continue
      if (disk !== undefined && drive.option !== disk) continue
      const { storage, volume } = placeOf(volumeOf(drive))
      if (storage.isBase(volume)) continue
      activate(storage)
      drive.properties.set('file', `${storage.name}:${await storage.makeBase(volume)}`)
      config.values.set(drive.option, printDrive(drive))
      writeConfig(vmid, config)
      await passMoment('late')
    }
  })
}
