import { randomUUID } from 'node:crypto'
import { nodeOf } from '../cluster.ts'
import { defaultBoot, isDriveOption, parseDrive, printDrive } from '../drives.ts'
import { messageOf, PveError } from '../failure.ts'
import { passMoment } from '../faults.ts'
import type { Call } from '../getopt.ts'
import { withConfigLock } from '../locks.ts'
import { emptyConfig, loadConfig, removeConfig, writeConfig } from '../vm-config.ts'
import { vmOption } from '../vm-options.ts'
import { inWorker } from '../worker.ts'
import { checkRequests, freeVolumes, provision, requestedDrives } from './provision.ts'
import { readFileOptions, storedValue } from './values.ts'

/** The version of QEMU that the recorded host made its VMs with. */
const creationQemu = '10.0.13'

interface CreateWork {
  readonly vmid: number
  readonly values: readonly (readonly [string, string])[]
}

/** `qm create`: claims the id, and has a worker make the VM. */
export async function create(call: Call, onStart?: (upid: string) => void): Promise<void> {
  const vmid = Number(call.values.get('vmid'))
  const values = readFileOptions(new Map([...call.values].filter(([name]) => vmOption(name) !== undefined)))
  checkRequests(requestedDrives(values))
  try {
    checkUnused(vmid)
    await withConfigLock(vmid, async () => {
      checkUnused(vmid)
      const config = emptyConfig()
      config.values.set('lock', 'create')
      writeConfig(vmid, config)
    })
  } catch (error) {
    throw new PveError(`unable to create VM ${vmid} - ${messageOf(error)}`)
  }
  const work: CreateWork = { vmid, values: [...values] }
  await inWorker('qmcreate', String(vmid), work, onStart)
  if (call.values.get('start') !== '1') return
  const { startVm } = await import('./start.ts')
  await startVm(vmid)
}

function checkUnused(vmid: number): void {
  const node = nodeOf(vmid)
  if (node !== undefined) throw new PveError(`VM ${vmid} already exists on node '${node}'`)
}

/** The worker's part. */
export async function createWork({ vmid, values: wanted }: CreateWork): Promise<void> {
  const created: string[] = []
  try {
    await withConfigLock(vmid, async () => {
      // It may have been unlocked and removed meanwhile.
      loadConfig(vmid)
      const values = await makeValues(vmid, new Map(wanted), created)
      writeConfig(vmid, { values, snapshots: new Map() })
    })
  } catch (error) {
    await freeVolumes(created)
    removeConfig(vmid)
    throw new PveError(`unable to create VM ${vmid} - ${messageOf(error)}`)
  }
}

async function makeValues(
  vmid: number,
  wanted: ReadonlyMap<string, string>,
  created: string[],
): Promise<Map<string, string>> {
  const values = new Map<string, string>()
  for (const [option, value] of wanted) {
    if (isDriveOption(option)) continue
    const stored = storedValue(option, value)
    if (stored !== undefined) values.set(option, stored)
  }
  const template = values.get('template') === '1'
  const drives = [...wanted].filter(([option]) => isDriveOption(option)).sort(([a], [b]) => (a < b ? -1 : 1))
  for (const [option, value] of drives) {
    const drive = await provision(parseDrive(option, value), { vmid, values, template, created })
    values.set(option, printDrive(drive))
  }
  if (drives.length === 0) await passMoment('middle')
  if (!values.has('boot')) values.set('boot', defaultBoot(values))
  if (!values.has('smbios1')) values.set('smbios1', `uuid=${randomUUID()}`)
  if (!values.has('vmgenid')) values.set('vmgenid', randomUUID())
  values.set('meta', `creation-qemu=${creationQemu},ctime=${Math.floor(Date.now() / 1000)}`)
  return values
}
