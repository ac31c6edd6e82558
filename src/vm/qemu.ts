import { type Accelerator, acceleratorArguments } from './accelerator.ts'
import type { Firmware } from './firmware.ts'

/** A network card: what it is plugged into and its hardware address. */
export interface Nic {
  /** The name of a TAP device; without one QEMU's own DHCP server answers, and nothing leads out. */
  readonly tap: string | undefined
  readonly mac: string
}

/** Everything QEMU has to know about a VM. Paths are absolute. */
export interface Machine {
  readonly name: string
  readonly uuid: string
  readonly memoryMiB: number
  readonly cpus: number
  readonly accelerator: Accelerator
  /** The firmware code, and this VM's own copy of the variables. */
  readonly firmware: Firmware
  /** The overlay the VM writes to (qcow2). */
  readonly disk: string
  /** A second, raw disk, if it has one. */
  readonly dataDisk: string | undefined
  /** The cloud-init drive (ISO 9660). */
  readonly drive: string
  readonly nics: readonly Nic[]
}

/** The descriptor QEMU finds the guest agent's socket at. The serial console is on its standard streams. */
export const agentDescriptor = 3

/**
 * QEMU's arguments for a VM shaped like the one Proxmox VE makes for these images: q35, OVMF, one virtio-scsi
 * controller per disk with an I/O thread, the cloud-init drive as `ide2`, virtio network cards, the guest
 * agent's port, a serial console, and an entropy device.
 */
export function machineArguments(machine: Machine): string[] {
  const { firmware } = machine
  return [
    ...['-name', optionValue(machine.name), '-no-user-config', '-nodefaults', '-display', 'none'],
    ...['-machine', 'q35,smm=off', ...acceleratorArguments(machine.accelerator)],
    ...['-smp', String(machine.cpus), '-m', String(machine.memoryMiB)],
    ...['-smbios', `type=1,uuid=${machine.uuid}`, '-device', `vmgenid,guid=${machine.uuid}`],
    ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${optionValue(firmware.code)}`],
    ...['-drive', `if=pflash,unit=1,format=raw,file=${optionValue(firmware.vars)}`],
    ...['-object', 'iothread,id=iothread-virtioscsi0'],
    ...['-device', 'virtio-scsi-pci,id=virtioscsi0,iothread=iothread-virtioscsi0'],
    '-drive',
    `if=none,id=drive-scsi0,format=qcow2,cache=unsafe,discard=on,detect-zeroes=unmap,file=${optionValue(machine.disk)}`,
    ...['-device', 'scsi-hd,bus=virtioscsi0.0,drive=drive-scsi0,id=scsi0,bootindex=100'],
    ...(machine.dataDisk === undefined ? [] : dataDiskArguments(machine.dataDisk)),
    ...['-drive', `if=none,id=drive-ide2,format=raw,readonly=on,file=${optionValue(machine.drive)}`],
    ...['-device', 'ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2'],
    ...machine.nics.flatMap((nic, index) => [
      ...[
        '-netdev',
        nic.tap === undefined
          ? `user,id=net${index},restrict=on`
          : `tap,id=net${index},ifname=${nic.tap},script=no,downscript=no`,
      ],
      // Without its option ROM the firmware has no network to try to boot from.
      ...['-device', `virtio-net-pci,mac=${nic.mac},netdev=net${index},id=net${index},romfile=`],
    ]),
    ...['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng0'],
    ...['-chardev', `socket,id=qga0,fd=${agentDescriptor}`, '-device', 'virtio-serial-pci,id=qga0'],
    ...['-device', 'virtserialport,chardev=qga0,name=org.qemu.guest_agent.0'],
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
  ]
}

function dataDiskArguments(file: string): string[] {
  return [
    ...['-object', 'iothread,id=iothread-virtioscsi1'],
    ...['-device', 'virtio-scsi-pci,id=virtioscsi1,iothread=iothread-virtioscsi1'],
    '-drive',
    `if=none,id=drive-scsi1,format=raw,cache=unsafe,discard=on,detect-zeroes=unmap,file=${optionValue(file)}`,
    ...['-device', 'scsi-hd,bus=virtioscsi1.0,drive=drive-scsi1,id=scsi1'],
  ]
}

/** `qemu-img` arguments that make a VM's own disk, of `bytes` bytes, over an image that stays untouched. */
export function overlayArguments(image: string, overlay: string, bytes: number): string[] {
  return ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image, overlay, String(bytes)]
}

/** A value inside one of QEMU's comma-separated options: a comma is written twice. */
export function optionValue(value: string): string {
  return value.replaceAll(',', ',,')
}
