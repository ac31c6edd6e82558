import { existsSync, readFileSync } from 'node:fs'
import { type Drive, drivesOf, hasVolume, isCdrom, volumeOf } from '../drives.ts'
import { PveError } from '../failure.ts'
import { readImageFile } from '../image-file.ts'
import { splitProperties } from '../property-string.ts'
import { memoryOf } from '../qm/show.ts'
import { runFile } from '../running.ts'
import { placeOf } from '../storage/registry.ts'
import { netSchema } from '../vm-options.ts'
import { acceleratorArguments, type Emulator } from './emulator.ts'

type Values = ReadonlyMap<string, string>

/** A network card of a VM and the TAP device it is plugged in with. */
export interface Card {
  readonly id: string
  readonly tap: string
  readonly mac: string
  readonly bridge: string
  /** Of the VLAN on the bridge. */
  readonly tag: string | undefined
  readonly mtu: string | undefined
  readonly linkDown: boolean
}

/** A VM's network cards, in their order. */
export function cardsOf(vmid: number, values: Values): Card[] {
  return [...values]
    .flatMap(([key, value]) => {
      const index = /^net(\d+)$/.exec(key)?.[1]
      const properties = splitProperties(value, netSchema)
      if (index === undefined || typeof properties === 'string') return []
      return [{ index: Number(index), properties }]
    })
    .sort((a, b) => a.index - b.index)
    .map(({ index, properties }) => ({
      id: `net${index}`,
      tap: `tap${vmid}i${index}`,
      mac: properties.get('macaddr') ?? '',
      bridge: properties.get('bridge') ?? '',
      tag: properties.get('tag'),
      mtu: properties.get('mtu'),
      linkDown: properties.get('link_down') === '1',
    }))
}

/** The MTU of a bridge. */
export function bridgeMtu(bridge: string): number {
  const file = `/sys/class/net/${bridge}/mtu`
  if (!existsSync(file)) throw new PveError(`bridge '${bridge}' does not exist`)
  return Number(readFileSync(file, 'utf8'))
}

/** The MTU that the guest of a card gets: the card's, or else the bridge's. */
function guestMtu({ id, bridge, mtu }: Card): number {
  const most = bridgeMtu(bridge)
  if (mtu === undefined || mtu === '1') return most
  if (Number(mtu) < 576)
    throw new PveError(`netdev ${id}: MTU '${mtu}' is smaller than the IP minimum MTU '576'`)
  if (Number(mtu) > most)
    throw new PveError(`netdev ${id}: MTU '${mtu}' is bigger than the bridge MTU '${most}'`)
  return Number(mtu)
}

/** Where the serial console of a VM is written to. */
export function consoleLog(vmid: number): string {
  return `/run/stand-in/console-${vmid}.log`
}

/**
 * QEMU's arguments for a VM: the machine that Proxmox VE makes of its configuration, as far as these images need it.
 * An emulated one has a single processor whatever its configuration says, for QEMU's emulation loses wake-ups of others.
 * @param variables the firmware's variables when the VM has no disk for them
 */
export function vmArguments(vmid: number, values: Values, emulator: Emulator, variables: string): string[] {
  const { kvm, firmware } = emulator
  const cores = Number(values.get('cores') ?? 1) * Number(values.get('sockets') ?? 1)
  const processors = kvm ? cores : 1
  const drives = drivesOf(values)
  const ovmf = values.get('bios') === 'ovmf'
  const chipset = values.get('machine')?.includes('q35') ? 'q35,smm=off' : 'pc'
  return [
    '-name',
    `${optionValue(values.get('name') ?? `vm${vmid}`)},debug-threads=on`,
    '-no-user-config',
    '-nodefaults',
    '-display',
    'none',
    '-daemonize',
    '-pidfile',
    runFile(vmid, 'pid'),
    '-qmp',
    `unix:${runFile(vmid, 'qmp')},server=on,wait=off`,
    '-machine',
    chipset,
    ...acceleratorArguments(emulator),
    '-smp',
    String(processors),
    '-m',
    String(memoryOf(values)),
    ...identity(values),
    ...(ovmf ? firmwareArguments(firmware.code, drives, variables) : []),
    ...drives.flatMap((drive) => driveArguments(drive, values)),
    ...cardsOf(vmid, values).flatMap(cardArguments),
    ...(values.has('rng0')
      ? ['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng0']
      : []),
    ...(isAgentEnabled(values) ? agentArguments(vmid) : []),
    ...(values.get('serial0') === 'socket' ? serialArguments(vmid) : []),
  ]
}

/** Whether a VM has a port for the guest agent. */
export function isAgentEnabled(values: Values): boolean {
  return /^(enabled=)?(1|yes|on|true)(,|$)/.test(values.get('agent') ?? '')
}

function identity(values: Values): string[] {
  const uuid = /uuid=([^,]+)/.exec(values.get('smbios1') ?? '')?.[1]
  const generation = values.get('vmgenid') ?? '0'
  return [
    ...(uuid === undefined ? [] : ['-smbios', `type=1,uuid=${uuid}`]),
    ...(generation === '0' ? [] : ['-device', `vmgenid,guid=${generation}`]),
  ]
}

function firmwareArguments(code: string, drives: readonly Drive[], variables: string): string[] {
  const disk = drives.find(({ option }) => option === 'efidisk0')
  const place = disk === undefined ? undefined : placeOf(volumeOf(disk))
  const path = place === undefined ? variables : place.storage.path(place.volume)
  const format = place?.storage.format(place.volume) ?? 'raw'
  // A block device is larger than the firmware's variables, which have to end where its code begins.
  const size = format === 'raw' ? `,size=${readImageFile(code.replace('_CODE', '_VARS')).size}` : ''
  return [
    '-drive',
    `if=pflash,unit=0,format=raw,readonly=on,file=${optionValue(code)}`,
    '-drive',
    `if=pflash,unit=1,format=${format}${size},file=${optionValue(path)}`,
  ]
}

function driveArguments(drive: Drive, values: Values): string[] {
  const { option, properties } = drive
  const [, bus = '', number = ''] = /^([a-z]+)(\d+)$/.exec(option) ?? []
  if (bus === 'efidisk' || bus === 'tpmstate' || !hasVolume(drive)) return []
  const { storage, volume } = placeOf(volumeOf(drive))
  const cdrom = isCdrom(drive)
  const format = storage.format(volume)
  const settings = [
    `if=none`,
    `id=drive-${option}`,
    `format=${format}`,
    'cache=unsafe',
    ...(cdrom ? ['readonly=on'] : ['detect-zeroes=unmap']),
    ...(properties.get('discard') === 'on' ? ['discard=on'] : []),
    `file=${optionValue(storage.path(volume))}`,
  ]
  const order = /order=([^,]*)/.exec(values.get('boot') ?? '')?.[1]?.split(';') ?? []
  const place = order.indexOf(option)
  const boot = place < 0 ? '' : `,bootindex=${100 + place}`
  return ['-drive', settings.join(','), ...deviceArguments(bus, number, option, properties, values, boot)]
}

function deviceArguments(
  bus: string,
  number: string,
  option: string,
  properties: ReadonlyMap<string, string>,
  values: Values,
  boot: string,
): string[] {
  const cdrom = properties.get('media') === 'cdrom'
  const kind = cdrom ? 'cd' : 'hd'
  if (bus === 'virtio') return ['-device', `virtio-blk-pci,drive=drive-${option},id=${option}${boot}`]
  if (bus === 'scsi') {
    const single = values.get('scsihw') === 'virtio-scsi-single'
    const controller = single ? `virtioscsi${number}` : 'scsihw0'
    const thread = single && properties.get('iothread') === '1'
    const first = single || ![...values.keys()].some((key) => /^scsi\d+$/.test(key) && key < option)
    return [
      ...(thread ? ['-object', `iothread,id=iothread-${controller}`] : []),
      ...(first
        ? ['-device', `virtio-scsi-pci,id=${controller}${thread ? `,iothread=iothread-${controller}` : ''}`]
        : []),
      '-device',
      `scsi-${kind},bus=${controller}.0,scsi-id=${number},drive=drive-${option},id=${option}${boot}`,
    ]
  }
  // On a q35 machine each of its ports is a bus of its own; the third IDE drive is where Proxmox VE puts it.
  const port = bus === 'ide' ? ({ '0': 0, '1': 2, '2': 1, '3': 3 }[number] ?? 4) : 5
  return ['-device', `ide-${kind},bus=ide.${port},unit=0,drive=drive-${option},id=${option}${boot}`]
}

function cardArguments(card: Card): string[] {
  const { id, tap, mac, bridge } = card
  const mtu = bridge === '' ? 1500 : guestMtu(card)
  const limit = mtu === 1500 ? '' : `,host_mtu=${mtu}`
  return [
    '-netdev',
    `tap,id=${id},ifname=${tap},script=no,downscript=no`,
    // Without its option ROM the firmware has no network to try to boot from.
    '-device',
    `virtio-net-pci,mac=${mac},netdev=${id},id=${id},romfile=${limit}`,
  ]
}

function agentArguments(vmid: number): string[] {
  return [
    '-chardev',
    `socket,id=qga0,path=${runFile(vmid, 'qga')},server=on,wait=off`,
    '-device',
    'virtio-serial-pci,id=qga0',
    '-device',
    'virtserialport,chardev=qga0,name=org.qemu.guest_agent.0',
  ]
}

function serialArguments(vmid: number): string[] {
  const log = `logfile=${consoleLog(vmid)},logappend=on`
  return [
    '-chardev',
    `socket,id=serial0,path=${runFile(vmid, 'serial0')},server=on,wait=off,${log}`,
    '-serial',
    'chardev:serial0',
  ]
}

/** A value inside one of QEMU's comma-separated options, where a comma is written twice. */
function optionValue(value: string): string {
  return value.replaceAll(',', ',,')
}
