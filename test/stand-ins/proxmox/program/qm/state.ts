import { drivesOf, hasVolume, isCdrom, volumeOf } from '../drives.ts'
import { PveError } from '../failure.ts'
import type { Call } from '../getopt.ts'
import { withConfigLock } from '../locks.ts'
import { say } from '../output.ts'
import { placeOf } from '../storage/registry.ts'
import { checkLock, loadConfig, writeConfig } from '../vm-config.ts'
import { inWorker } from '../worker.ts'

/** `qm unlock`. */
export async function unlock(call: Call): Promise<void> {
  const vmid = Number(call.values.get('vmid'))
  await withConfigLock(vmid, async () => {
    const config = loadConfig(vmid)
    config.values.delete('lock')
    writeConfig(vmid, config)
  })
}

interface SnapshotWork {
  readonly vmid: number
  readonly name: string
}

/** `qm snapshot`. */
export async function snapshot(call: Call): Promise<void> {
  const work = snapshotOf(call)
  checkLock(loadConfig(work.vmid))
  await inWorker('qmsnapshot', String(work.vmid), work)
}

/** `qm delsnapshot`. */
export async function deleteSnapshot(call: Call): Promise<void> {
  const work = snapshotOf(call)
  checkLock(loadConfig(work.vmid))
  await inWorker('qmdelsnapshot', String(work.vmid), work)
}

function snapshotOf({ values }: Call): SnapshotWork {
  return { vmid: Number(values.get('vmid')), name: values.get('snapname') ?? '' }
}

/** The worker's part of `qm snapshot`. */
export async function snapshotWork({ vmid, name }: SnapshotWork): Promise<void> {
  await withConfigLock(vmid, async () => {
    const config = loadConfig(vmid)
    if (config.snapshots.has(name)) throw new PveError(`snapshot name '${name}' already used`)
    for (const drive of snapshottable(config.values)) {
      say(`snapshotting 'drive-${drive.option}' (${volumeOf(drive)})`)
      const { storage, volume } = placeOf(volumeOf(drive))
      await storage.snapshot(volume, name)
    }
    const taken = new Map(config.values)
    taken.delete('template')
    config.snapshots.set(name, taken.set('snaptime', String(Math.floor(Date.now() / 1000))))
    config.values.set('parent', name)
    writeConfig(vmid, config)
  })
}

/** The worker's part of `qm delsnapshot`. */
export async function deleteSnapshotWork({ vmid, name }: SnapshotWork): Promise<void> {
  await withConfigLock(vmid, async () => {
    const config = loadConfig(vmid)
    const taken = config.snapshots.get(name)
    if (taken === undefined) throw new PveError(`snapshot '${name}' does not exist`, 2)
    for (const drive of snapshottable(taken)) {
      const { storage, volume } = placeOf(volumeOf(drive))
      await storage.deleteSnapshot(volume, name)
    }
    config.snapshots.delete(name)
    const parent = taken.get('parent')
    for (const values of [config.values, ...config.snapshots.values()]) {
      if (values.get('parent') !== name) continue
      if (parent === undefined) values.delete('parent')
      else values.set('parent', parent)
    }
    writeConfig(vmid, config)
  })
}

function snapshottable(values: ReadonlyMap<string, string>) {
  return drivesOf(values).filter((drive) => hasVolume(drive) && !isCdrom(drive))
}
