import { randomUUID } from 'node:crypto'
import { formatNodeEnv, type NodeValues } from '../guest/node-env.ts'
import type { VendorFile } from '../guest/vendor-data.ts'
import { NODE_ENV_PATH } from '../guest/vendor-data.ts'
import type { Platform } from '../platform/schema.ts'
import { type Emulator, processorsFor } from '../vm/accelerator.ts'
import { Clone } from '../vm/clone.ts'
import { type DriveFiles, driveFiles } from '../vm/cloud-init-drive.ts'
import { DhcpServer } from '../vm/dhcp.ts'
import { raiseLan } from '../vm/lan.ts'
import { makeSshKey, type SshKey } from '../vm/ssh.ts'
import type { TestSetting } from './contract.ts'
import type { MachineSpec, Site } from './site.ts'

/** Size of a clone's disk: well above any image, so that growing shows. */
export const diskBytes = 8 * 1024 ** 3
/** What the proof's operator logs in as. */
export const operatorUser = 'seeder'

/** Everything around the clones of a proof: networks, the operator, and the clones made so far. */
export interface TestBed {
  readonly folder: string
  readonly platform: Platform
  readonly emulator: Emulator
  readonly site: Site
  readonly sshKey: SshKey
  readonly dhcp: DhcpServer
  readonly clones: Clone[]
}

/** Builds the stage in this process's network namespace. `strikeStage` takes it down. */
export async function buildTestBed(
  { folder, platform, emulator }: TestSetting,
  site: Site,
): Promise<TestBed> {
  await raiseLan(site.lan)
  const sshKey = await makeSshKey(folder)
  const dhcp = new DhcpServer(site.machines.flatMap(({ nics }) => nics.flatMap(({ lease }) => lease ?? [])))
  await dhcp.start()
  return { folder, platform, emulator, site, sshKey, dhcp, clones: [] }
}

/**
 * Clones an image for a seat, with the memory the platform gives its role, but not more than `mostMiB`.
 * @param dataDiskBytes the size of a second, blank disk, if it is to have one
 */
export async function makeClone(
  stage: TestBed,
  seat: MachineSpec,
  image: string,
  mostMiB: number,
  dataDiskBytes?: number,
): Promise<Clone> {
  const { emulator, platform } = stage
  const clone = await Clone.make(image, stage.folder, emulator, {
    name: seat.hostname,
    uuid: randomUUID(),
    memoryMiB: Math.min(platform.roles[seat.role].memory, mostMiB),
    cpus: processorsFor(emulator.accelerator),
    diskBytes,
    dataDiskBytes,
    nics: seat.nics,
  })
  stage.clones.push(clone)
  return clone
}

/** A clone's cloud-init drive: its addresses, the operator's key, its role's values, and further files. */
export function nodeDrive(
  { platform, sshKey }: Pick<TestBed, 'platform' | 'sshKey'>,
  seat: MachineSpec,
  values: NodeValues,
  files: readonly VendorFile[],
): DriveFiles {
  return driveFiles({
    hostname: seat.hostname,
    user: operatorUser,
    sshKeys: [sshKey.publicKey],
    nics: seat.nics,
    nameservers: platform.dns,
    searchDomain: 'example.internal',
    files: [{ path: NODE_ENV_PATH, permissions: '0640', content: formatNodeEnv(values) }, ...files],
  })
}

/** Ends every VM and server of a stage. */
export async function tearDown(stage: TestBed): Promise<void> {
  await Promise.all(stage.clones.map((clone) => clone.kill()))
  await stage.dhcp.stop()
}
