import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Manifest } from '../../../src/build/manifest.ts'
import { type GuestStatus, statusSchema } from '../../../src/guest/status.ts'
import { type HostResult, PveHost } from '../../stand-ins/proxmox/host.ts'
import { warmUp } from '../builds.ts'

const bootMs = 10 * 60_000

/** VMs of one image on a stand-in host, made with `qm` as the image's documentation describes. */
export class PveMachines {
  readonly host: PveHost
  private readonly out: string
  private readonly manifest: Manifest

  /** @param out the folder of the image */
  constructor(host: PveHost, out: string, manifest: Manifest) {
    this.host = host
    this.out = out
    this.manifest = manifest
  }

  /** Makes and starts a host below `root` with a template of the HAProxy image, 9000. `host.remove` ends it. */
  static async start(root: string): Promise<PveMachines> {
    const out = join(root, 'image')
    const manifest = await warmUp(out)
    const host = await PveHost.create(join(root, 'host'))
    await host.start()
    const machines = new PveMachines(host, out, manifest)
    await machines.create('local')
    await machines.mustQm('template', '9000')
    return machines
  }

  /** Writes a snippet with vendor data, `local:snippets/NAME`. */
  async writeSnippet(name: string, text: string): Promise<void> {
    const script = 'mkdir -p /var/lib/vz/snippets; cat > "/var/lib/vz/snippets/$0"'
    await this.host.run(['sh', '-c', script, name], { input: text })
  }

  qm(...argv: string[]): Promise<HostResult> {
    return this.host.run(['qm', ...argv])
  }

  /** Runs `qm`, which has to succeed. Its standard output. */
  async mustQm(...argv: string[]): Promise<string> {
    const result = await this.qm(...argv)
    expect(result, argv.join(' ')).toMatchObject({ code: 0 })
    return result.stdout
  }

  /** Makes a VM of the image with the ID 9000. */
  async create(storage: string): Promise<void> {
    const options = {
      name: 'golden',
      memory: '1024',
      cores: '2',
      ostype: 'l26',
      bios: 'ovmf',
      machine: 'q35',
      efidisk0: `${storage}:0,efitype=4m,pre-enrolled-keys=0`,
      scsihw: 'virtio-scsi-single',
      scsi0: `${storage}:0,import-from=${join(this.out, this.manifest.qcow2.file)},discard=on,iothread=1`,
      boot: 'order=scsi0',
      serial0: 'socket',
      ide2: `${storage}:cloudinit`,
      ciupgrade: '0',
      agent: 'enabled=1',
    }
    await this.mustQm(
      'create',
      '9000',
      ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, value]),
    )
    await this.mustQm('disk', 'resize', '9000', 'scsi0', '4G')
  }

  /** Makes a clone of 9000, which is a template, with one card. */
  async clone(vmid: string, name: string, address: string): Promise<void> {
    await this.mustQm('clone', '9000', vmid, '--name', name)
    await this.mustQm(
      'set',
      vmid,
      '--net0',
      `${cardOf(vmid)},bridge=vmbr0`,
      '--ipconfig0',
      `ip=${address}/24`,
    )
  }

  /** The volume of a VM's disk. */
  async diskOf(vmid: string): Promise<string> {
    return /^scsi0: ([^,\n]*)/m.exec(await this.mustQm('config', vmid))?.[1] ?? ''
  }

  /** Starts a VM and waits for its guest agent. */
  async boot(vmid: string): Promise<void> {
    await this.mustQm('start', vmid)
    const deadline = Date.now() + bootMs
    while ((await this.qm('guest', 'cmd', vmid, 'ping')).code !== 0) {
      if (Date.now() > deadline)
        throw new Error(`no agent in ${vmid}: ${(await this.console(vmid)).slice(-2000)}`)
      await sleep(1000)
    }
  }

  /** Starts a VM and waits until its first boot has ended. */
  async firstBoot(vmid: string): Promise<GuestStatus> {
    await this.boot(vmid)
    for (const deadline = Date.now() + bootMs; Date.now() < deadline; await sleep(500)) {
      const argv = ['guest', 'exec', vmid, '--timeout', '60', '--', '/usr/lib/seeder/status']
      const said: string = JSON.parse(await this.mustQm(...argv))['out-data'] ?? '{}'
      const status = statusSchema.parse(JSON.parse(said))
      if (status.state !== 'pending') return status
    }
    throw new Error(`first boot of ${vmid} did not end: ${(await this.console(vmid)).slice(-2000)}`)
  }

  /** The serial console of a VM since its start. */
  console(vmid: string): Promise<string> {
    return readFile(this.host.path(`/run/stand-in/console-${vmid}.log`), 'utf8').catch(() => '')
  }

  /** The output of a command in a guest, which has to succeed. */
  async inGuest(vmid: string, ...command: string[]): Promise<string> {
    const result = JSON.parse(await this.mustQm('guest', 'exec', vmid, '--timeout', '60', '--', ...command))
    expect(result, command.join(' ')).toMatchObject({ exitcode: 0, exited: 1 })
    return result['out-data'] ?? ''
  }

  /** A guest's name, and its addresses by card. */
  async identity(vmid: string): Promise<{ name: string; addresses: string }> {
    return {
      name: (await this.inGuest(vmid, '/bin/hostname')).trim(),
      addresses: await this.inGuest(vmid, '/bin/ip', '-brief', '-4', 'address'),
    }
  }
}

/** The network card of a VM. */
export function cardOf(vmid: string): string {
  return `virtio=BC:24:11:00:00:${vmid.slice(-2)}`
}
