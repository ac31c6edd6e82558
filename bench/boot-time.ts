import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { parseJson } from '../src/files/json.ts'
import { execa } from '../src/process/child-process.ts'
import { Clone } from '../src/vm/clone.ts'
import { driveFiles } from '../src/vm/cloud-init-drive.ts'
import type { Emulator } from '../src/vm/emulator.ts'

/** The image to boot, and the console lines to wait for. */
export interface ReadyOptions {
  /** A disk image with cloud-init (qcow2). It is not written to. */
  readonly image: string
  /** Where the clone's files go; the caller removes it. */
  readonly folder: string
  readonly emulator: Emulator
  /** Console lines to time, by name. */
  readonly markers: Readonly<Record<string, RegExp>>
  readonly memoryMiB: number
  readonly cpus: number
  readonly timeoutMs: number
}

/** cloud-init's last line on the console: `Cloud-init v. 25.1.4 finished at …`. */
export const cloudInitFinished = /Cloud-init v\. \S+ finished at/

/**
 * Boots a clone of any cloud-init image once, and returns the times at which the markers appear on the serial console, in
 * milliseconds since the start of QEMU. Ends the VM.
 * @throws SeederError when a marker does not appear within the time, or the guest panics
 */
export async function bootToReady<Name extends string>(
  options: ReadyOptions & { readonly markers: Readonly<Record<Name, RegExp>> },
): Promise<Record<Name, number>> {
  const mac = 'bc:24:11:00:00:01'
  const clone = await Clone.make(options.image, options.folder, options.emulator, {
    name: 'ready',
    uuid: randomUUID(),
    memoryMiB: options.memoryMiB,
    cpus: options.cpus,
    dataDiskBytes: undefined,
    diskBytes: Math.max(8 * 1024 ** 3, await virtualBytes(options.image)),
    nics: [{ tap: undefined, mac, mtu: undefined }],
  })
  const drive = driveFiles({
    hostname: 'ready',
    user: 'seeder',
    sshKeys: [],
    nics: [{ mac, address: 'dhcp', gateway: undefined }],
    nameservers: [],
    searchDomain: 'example.internal',
    files: [],
  })
  try {
    const { console } = await clone.start(drive)
    const names = Object.keys(options.markers) as Name[]
    const times = await Promise.all(
      names.map(async (name) => {
        const line = await console.waitFor(options.markers[name], name, options.timeoutMs)
        return [name, line.ms] as const
      }),
    )
    return Object.fromEntries(times) as Record<Name, number>
  } finally {
    await clone.kill()
  }
}

/** The size of the disk inside an image, in bytes. */
export async function virtualBytes(image: string): Promise<number> {
  const { stdout } = await execa('qemu-img', ['info', '--output=json', image])
  return parseJson(stdout, z.object({ 'virtual-size': z.number() }))['virtual-size']
}
