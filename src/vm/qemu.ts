import { type Accelerator, acceleratorArguments, type Firmware } from './emulator.ts'

/** A network card. */
export interface Nic {
  /** The name of a TAP device; without one the card is on a network of QEMU's own, with DHCP and no way out. */
  readonly tap: string | undefined
  readonly mac: string
  /** The MTU that the guest's driver takes over; undefined for its default. */
  readonly mtu: number | undefined
}

/** The configuration of a VM. Paths are absolute. */
export interface Machine {
  readonly name: string
  readonly uuid: string
  readonly memoryMiB: number
  readonly cpus: number
  readonly accelerator: Accelerator
  /** The firmware code, and this VM's own copy of the variables. */
  readonly firmware: Firmware
  /** The overlay that the VM writes to (qcow2). */
  readonly disk: string
  /** A second, raw disk, if it has one. */
  readonly dataDisk: string | undefined
  /** The cloud-init drive (ISO 9660). */
  readonly drive: string
  readonly nics: readonly Nic[]
}

/** QEMU's file descriptor of the guest agent's socket. */
export const AGENT_DESCRIPTOR = 3

/**
 * QEMU's arguments for a VM like the one that Proxmox VE makes for these images: q35, OVMF, one virtio-scsi controller
 * per disk with an I/O thread, the cloud-init drive as `ide2`, virtio network cards, the guest agent's port, a serial
 * console, and an entropy device.
 */
export function machineArguments(machine: Machine): string[] {
  const { firmware, dataDisk } = machine
  return [
    ['-name', optionValue(machine.name)],
    ['-no-user-config', '-nodefaults', '-display', 'none'],
    ['-machine', 'q35,smm=off'],
    acceleratorArguments(machine.accelerator, machine.cpus),
    ['-smp', String(machine.cpus), '-m', String(machine.memoryMiB)],
    ['-smbios', `type=1,uuid=${machine.uuid}`, '-device', `vmgenid,guid=${machine.uuid}`],
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${optionValue(firmware.code)}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${optionValue(firmware.vars)}`],
    diskArguments(
      0,
      `format=qcow2,cache=unsafe,discard=on,detect-zeroes=unmap,file=${optionValue(machine.disk)}`,
    ),
    dataDisk === undefined
      ? []
      : diskArguments(
          1,
          `format=raw,cache=unsafe,discard=on,detect-zeroes=unmap,file=${optionValue(dataDisk)}`,
        ),
    ['-drive', `if=none,id=drive-ide2,format=raw,readonly=on,file=${optionValue(machine.drive)}`],
    ['-device', 'ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2'],
    ...machine.nics.map(nicArguments),
    ['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng0'],
    ['-chardev', `socket,id=qga0,fd=${AGENT_DESCRIPTOR}`],
    ['-device', 'virtio-serial-pci,id=qga0'],
    ['-device', 'virtserialport,chardev=qga0,name=org.qemu.guest_agent.0'],
    ['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
  ].flat()
}

/** The arguments for a disk on a controller of its own. The firmware boots the first disk. */
function diskArguments(number: number, drive: string): string[] {
  const boot = number === 0 ? ',bootindex=100' : ''
  return [
    ['-object', `iothread,id=iothread-virtioscsi${number}`],
    ['-device', `virtio-scsi-pci,id=virtioscsi${number},iothread=iothread-virtioscsi${number}`],
    ['-drive', `if=none,id=drive-scsi${number},${drive}`],
    ['-device', `scsi-hd,bus=virtioscsi${number}.0,drive=drive-scsi${number},id=scsi${number}${boot}`],
  ].flat()
}

function nicArguments({ tap, mac, mtu }: Nic, index: number): string[] {
  const network =
    tap === undefined
      ? `user,id=net${index},restrict=on`
      : `tap,id=net${index},ifname=${tap},script=no,downscript=no`
  // Without its option ROM, the firmware does not try to boot from the network.
  const limit = mtu === undefined ? '' : `,host_mtu=${mtu}`
  const device = `virtio-net-pci,mac=${mac},netdev=net${index},id=net${index},romfile=${limit}`
  return ['-netdev', network, '-device', device]
}

/** `qemu-img` arguments that make a VM's own disk, of `bytes` bytes, over an image that is only read. */
export function overlayArguments(image: string, overlay: string, bytes: number): string[] {
  return ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image, overlay, String(bytes)]
}

/** A value inside one of QEMU's comma-separated options: a comma is written twice. */
export function optionValue(value: string): string {
  return value.replaceAll(',', ',,')
}
