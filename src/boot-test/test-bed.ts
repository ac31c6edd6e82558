import { randomUUID } from 'node:crypto'
import { formatNodeEnv, type NodeValues } from '../guest/node-env.ts'
import { NODE_ENV_PATH, type VendorFile } from '../guest/vendor-data.ts'
import { Clone } from '../vm/clone.ts'
import { type DriveFiles, driveFiles } from '../vm/cloud-init-drive.ts'
import { DhcpServer } from '../vm/dhcp.ts'
import { processorsFor } from '../vm/emulator.ts'
import { raiseLan } from '../vm/lan.ts'
import { makeSshKey, type SshKey } from '../vm/ssh.ts'
import type { TestSetting } from './contract.ts'
import type { MachineSpec, Site } from './site.ts'

/** Size of a clone's disk: well above any image, so that a file system that did not grow is noticed. */
export const DISK_BYTES = 8 * 1024 ** 3
// Under emulation on two cores, two clones that boot together need about a minute, and three need two; on a busy runner
// they need a multiple of that.
const bootTimeouts = { kvm: 180_000, tcg: 600_000 }
/** The user that the operator logs in as. */
export const OPERATOR_USER = 'seeder'

/** Everything around the clones of a test: networks, the operator's key, and the clones made so far. */
export interface TestBed extends TestSetting {
  readonly site: Site
  readonly sshKey: SshKey
  readonly dhcp: DhcpServer
  /** Every clone that was made, whether it still runs or not. */
  readonly clones: Clone[]
  /** The maximum time for the boot of a clone. */
  readonly bootTimeoutMs: number
}

/** Builds a test bed in this process's network namespace. `tearDown` removes it. */
export async function buildTestBed<Setting extends TestSetting>(
  setting: Setting,
  site: Site,
): Promise<Setting & TestBed> {
  await raiseLan(site.lan)
  const sshKey = await makeSshKey(setting.folder)
  const dhcp = new DhcpServer(site.machines.flatMap(({ nics }) => nics.flatMap(({ lease }) => lease ?? [])))
  await dhcp.start()
  const bootTimeoutMs = bootTimeouts[setting.emulator.accelerator]
  return { ...setting, site, sshKey, dhcp, clones: [], bootTimeoutMs }
}

/** A machine and its clone. */
export interface PlacedClone {
  readonly clone: Clone
  readonly machine: MachineSpec
}

/** What a clone is made of. */
export interface CloneSource {
  /** The image's file. */
  readonly qcow2: string
  /** The clone gets the memory that the platform gives its role, but not more than this. */
  readonly maximumMiB: number
  /** The least number of processors, also where an emulated clone usually has one. */
  readonly leastProcessors?: number
  /** The size of a second, blank disk, if it has one. */
  readonly dataDiskBytes?: number | undefined
}

/** Makes a machine's clone. */
export async function makeClone(
  bed: TestBed,
  machine: MachineSpec,
  { qcow2, maximumMiB, leastProcessors = 1, dataDiskBytes }: CloneSource,
): Promise<Clone> {
  const { emulator, platform } = bed
  const clone = await Clone.make(qcow2, bed.folder, emulator, {
    name: machine.hostname,
    uuid: randomUUID(),
    memoryMiB: Math.min(platform.roles[machine.role].memory, maximumMiB),
    cpus: Math.max(processorsFor(emulator.accelerator), leastProcessors),
    diskBytes: DISK_BYTES,
    dataDiskBytes,
    nics: machine.nics,
  })
  bed.clones.push(clone)
  return clone
}

/** A clone's cloud-init drive: its addresses, the operator's key, its role's values, and further files. */
export function nodeDrive(
  { platform, sshKey }: Pick<TestBed, 'platform' | 'sshKey'>,
  machine: MachineSpec,
  values: NodeValues,
  files: readonly VendorFile[],
): DriveFiles {
  return driveFiles({
    hostname: machine.hostname,
    user: OPERATOR_USER,
    sshKeys: [sshKey.publicKey],
    nics: machine.nics,
    nameservers: platform.dns,
    searchDomain: 'example.internal',
    files: [nodeEnvFile(machine, values), ...files],
  })
}

/** node.env of a machine: its role's values, and the routes that `seeder node` gives it. */
export function nodeEnvFile({ routes }: MachineSpec, values: NodeValues): VendorFile {
  const content = formatNodeEnv({ ...values, ROUTES: routes })
  return { path: NODE_ENV_PATH, permissions: '0640', content }
}

/** Ends every VM and server of a test bed. */
export async function tearDown(bed: TestBed): Promise<void> {
  await Promise.all(bed.clones.map((clone) => clone.kill()))
  await bed.dhcp.stop()
}
