import { volumesOf } from '../drives.ts'
import { messageOf, PveError } from '../failure.ts'
import { passMoment } from '../faults.ts'
import type { Call } from '../getopt.ts'
import { withConfigLock } from '../locks.ts'
import { err, say } from '../output.ts'
import { runningPid } from '../running.ts'
import { activate, isBaseInUse, isGone, placeOf, storages } from '../storage/registry.ts'
import { checkLock, emptyConfig, loadConfig, removeConfig, type VmConfig, writeConfig } from '../vm-config.ts'
import { inWorker } from '../worker.ts'

interface DestroyWork {
  readonly vmid: number
  readonly skipLock: boolean
  readonly purge: boolean
  readonly unreferenced: boolean
}

/** `qm destroy`. */
export async function destroy(call: Call): Promise<void> {
  const vmid = Number(call.values.get('vmid'))
  const work: DestroyWork = {
    vmid,
    skipLock: call.values.get('skiplock') === '1',
    purge: call.values.get('purge') === '1',
    unreferenced: call.values.get('destroy-unreferenced-disks') === '1',
  }
  checkProtection(vmid, loadConfig(vmid))
  await inWorker('qmdestroy', String(vmid), work)
}

function checkProtection(vmid: number, { values }: VmConfig): void {
  if (values.get('protection') === '1') {
    throw new PveError(`can't remove VM ${vmid} - protection mode enabled`)
  }
}

/** The worker's part. */
export async function destroyWork({ vmid, skipLock, purge, unreferenced }: DestroyWork): Promise<void> {
  await withConfigLock(vmid, async () => {
    const config = loadConfig(vmid)
    checkProtection(vmid, config)
    if (!skipLock) checkLock(config)
    if (runningPid(vmid) !== undefined) throw new PveError(`VM ${vmid} is running - destroy failed`)
    const volids = ownVolumes(vmid, config)
    const used = volids.find((volid) => isBaseInUse(placeOf(volid)))
    if (used !== undefined) throw new PveError(`base volume '${used}' is still in use by linked cloned`)
    for (const [index, volid] of volids.entries()) {
      await removeVolume(volid)
      if (index === 0) await passMoment('middle')
    }
    if (unreferenced) for (const volid of strayVolumes(vmid)) await removeVolume(volid)
    const remains = emptyConfig()
    remains.values.set('lock', 'destroyed')
    writeConfig(vmid, remains)
    await passMoment('late')
    if (purge) say(`purging VM ${vmid} from related configurations..`)
    removeConfig(vmid)
  })
}

/** The VM's own volumes: not the ISO images that are in its drives, nor what another VM has lent it. */
function ownVolumes(vmid: number, config: VmConfig): string[] {
  const named = [config.values, ...config.snapshots.values()].flatMap(volumesOf)
  return [...new Set(named)].filter((volid) => {
    const { storage, volume } = placeOf(volid)
    return storage.owner(volume) === vmid
  })
}

function strayVolumes(vmid: number): string[] {
  return storages()
    .filter((storage) => !isGone(storage) && storage.content.includes('images'))
    .flatMap((storage) => activate(storage).list())
    .filter((volume) => volume.vmid === vmid)
    .map(({ volid }) => volid)
}

async function removeVolume(volid: string): Promise<void> {
  try {
    const { storage, volume } = placeOf(volid)
    await activate(storage).free(volume)
  } catch (error) {
    err(`Could not remove disk '${volid}', check manually: ${messageOf(error)}\n`)
  }
}
