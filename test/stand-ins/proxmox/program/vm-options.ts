import { boolean, formatted, integer, matching, number, oneOf, type Spec, text } from './check.ts'
import {
  addressList,
  bridge,
  diskSize,
  dnsName,
  importSource,
  ipv4Address,
  ipv4Configuration,
  ipv6Address,
  ipv6Configuration,
  mac,
  storageId,
  tags,
  volume,
  volumeId,
} from './formats.ts'
import { type PropertySchema, propertyFormat } from './property-string.ts'

const imageFormat = oneOf('raw', 'qcow', 'qed', 'qcow2', 'vmdk', 'cloop')

const limits = ['bps', 'iops', 'mbps'].flatMap((unit) =>
  ['', '_rd', '_wr'].flatMap((way) => [`${unit}${way}`, `${unit}${way}_max`, `${unit}${way}_max_length`]),
)

const driveKeys: Readonly<Record<string, Spec>> = {
  file: volume,
  ...Object.fromEntries(limits.map((name) => [name, number(0)])),
  aio: oneOf('native', 'threads', 'io_uring'),
  backup: boolean,
  cache: oneOf('none', 'writethrough', 'writeback', 'unsafe', 'directsync'),
  detect_zeroes: boolean,
  discard: oneOf('ignore', 'on'),
  format: imageFormat,
  'import-from': importSource,
  media: oneOf('cdrom', 'disk'),
  replicate: boolean,
  rerror: oneOf('ignore', 'report', 'stop'),
  serial: text,
  shared: boolean,
  size: diskSize,
  snapshot: boolean,
  werror: oneOf('enospc', 'ignore', 'report', 'stop'),
}

function driveSchema(more: Readonly<Record<string, Spec>>): PropertySchema {
  return { defaultKey: 'file', keys: { ...driveKeys, ...more }, required: ['file'] }
}

const wwn = matching(/^0x[0-9a-f]{16}$/i)
/** Drives by the name in front of their number. */
export const driveSchemas: Readonly<Record<string, PropertySchema>> = {
  ide: driveSchema({ model: text, ssd: boolean, wwn }),
  sata: driveSchema({ ssd: boolean, wwn }),
  scsi: driveSchema({
    iothread: boolean,
    product: text,
    queues: integer(2),
    ro: boolean,
    scsiblock: boolean,
    ssd: boolean,
    vendor: text,
    wwn,
  }),
  virtio: driveSchema({ iothread: boolean, ro: boolean }),
  efidisk: {
    defaultKey: 'file',
    keys: {
      file: volume,
      efitype: oneOf('2m', '4m'),
      format: imageFormat,
      'import-from': importSource,
      'ms-cert': oneOf('2011', '2023', '2023k', '2023w'),
      'pre-enrolled-keys': boolean,
      size: diskSize,
    },
    required: ['file'],
  },
  tpmstate: {
    defaultKey: 'file',
    keys: {
      file: volume,
      format: oneOf('raw', 'qcow2', 'vmdk'),
      'import-from': importSource,
      size: diskSize,
      version: oneOf('v1.2', 'v2.0'),
    },
    required: ['file'],
  },
  unused: { defaultKey: 'file', keys: { file: volume }, required: ['file'] },
}

const cards = `
  e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er ne2k_isa
  ne2k_pci pcnet rtl8139 virtio vmxnet3
`
  .trim()
  .split(/\s+/)

export const netSchema: PropertySchema = {
  defaultKey: 'model',
  keys: {
    model: oneOf(...cards),
    macaddr: mac,
    bridge,
    firewall: boolean,
    'host-tunnel': boolean,
    link_down: boolean,
    mtu: integer(1, 65520),
    queues: integer(0, 64),
    rate: number(0),
    tag: integer(1, 4094),
    trunks: matching(/^\d+(-\d+)?(;\d+(-\d+)?)*$/),
  },
  required: ['model'],
  paired: { names: cards, key: 'model', value: 'macaddr' },
}

export const ipconfigSchema: PropertySchema = {
  keys: { ip: ipv4Configuration, gw: ipv4Address, ip6: ipv6Configuration, gw6: ipv6Address },
}

export const cicustomSchema: PropertySchema = {
  keys: { meta: volumeId, network: volumeId, user: volumeId, vendor: volumeId },
}

const base64 = matching(/^[A-Za-z0-9+/]+={0,2}$/)
const uuid = matching(/^[a-fA-F0-9]{8}(-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}$/)

export const smbiosSchema: PropertySchema = {
  keys: {
    base64: boolean,
    family: base64,
    manufacturer: base64,
    product: base64,
    serial: base64,
    sku: base64,
    uuid,
    version: base64,
  },
}

/** Processors of QEMU and of Proxmox VE; the tests need no others. */
const processors = `
  host max kvm32 kvm64 qemu32 qemu64 486 athlon pentium core2duo x86-64-v2 x86-64-v2-AES
  x86-64-v3 x86-64-v4 EPYC EPYC-Rome EPYC-Milan EPYC-Genoa Haswell Broadwell
  Skylake-Client Skylake-Server Cascadelake-Server Icelake-Server
`
  .trim()
  .split(/\s+/)

function processorFormat(value: string): string | undefined {
  const type = value.split(',')[0]?.replace(/^cputype=/, '') ?? ''
  if (type.startsWith('custom-') || type.startsWith('flags=') || processors.includes(type)) return undefined
  return `Built-in cputype '${type}' is not defined (missing 'custom-' prefix?)`
}

const displays = [
  'cirrus',
  'qxl',
  'qxl2',
  'qxl3',
  'qxl4',
  'none',
  'serial0',
  'serial1',
  'serial2',
  'serial3',
  'std',
  'virtio',
  'virtio-gl',
  'vmware',
]

const systems = 'other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris'.split(' ')

const machine =
  /^(pc|q35|virt|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?)$/

const plain: Readonly<Record<string, Spec>> = {
  acpi: boolean,
  affinity: text,
  'allow-ksm': boolean,
  arch: oneOf('x86_64', 'aarch64'),
  args: text,
  autostart: boolean,
  balloon: integer(0),
  bios: oneOf('seabios', 'ovmf'),
  ciupgrade: boolean,
  cipassword: text,
  citype: oneOf('configdrive2', 'nocloud', 'opennebula'),
  ciuser: text,
  cpu: formatted(processorFormat),
  cores: integer(1),
  cpulimit: number(0, 128),
  cpuunits: integer(1, 262144),
  freeze: boolean,
  description: { type: 'string', maxLength: 8192 },
  hookscript: volumeId,
  hotplug: text,
  keyboard: text,
  kvm: boolean,
  localtime: boolean,
  name: dnsName,
  nameserver: addressList,
  lock: oneOf(
    'backup',
    'clone',
    'create',
    'migrate',
    'rollback',
    'snapshot',
    'snapshot-delete',
    'suspending',
    'suspended',
  ),
  numa: boolean,
  onboot: boolean,
  ostype: oneOf(...systems),
  protection: boolean,
  reboot: boolean,
  scsihw: oneOf('lsi', 'lsi53c810', 'virtio-scsi-pci', 'virtio-scsi-single', 'megasas', 'pvscsi'),
  searchdomain: text,
  shares: integer(0, 50000),
  sockets: integer(1),
  sshkeys: text,
  startdate: text,
  startup: text,
  tablet: boolean,
  tags,
  tdf: boolean,
  template: boolean,
  vcpus: integer(1),
  vmgenid: text,
  vmstatestorage: storageId,
  watchdog: text,
}

/** Options of the form `name[n]` and of property strings, and their highest number where they have one. */
const structured: Readonly<Record<string, { most?: number; schema: PropertySchema }>> = {
  agent: {
    schema: {
      defaultKey: 'enabled',
      required: ['enabled'],
      keys: {
        enabled: boolean,
        'freeze-fs': boolean,
        'freeze-fs-on-backup': boolean,
        fstrim_cloned_disks: boolean,
        type: oneOf('virtio', 'isa'),
      },
    },
  },
  boot: { schema: { defaultKey: 'legacy', keys: { legacy: matching(/^[acdn]{1,4}$/), order: text } } },
  cicustom: { schema: cicustomSchema },
  machine: {
    schema: {
      defaultKey: 'type',
      keys: {
        type: matching(machine),
        'enable-s3': boolean,
        'enable-s4': boolean,
        viommu: oneOf('intel', 'virtio'),
      },
    },
  },
  memory: { schema: { defaultKey: 'current', keys: { current: integer(16) } } },
  rng0: {
    schema: {
      defaultKey: 'source',
      keys: {
        source: oneOf('/dev/urandom', '/dev/random', '/dev/hwrng'),
        max_bytes: integer(0),
        period: integer(0),
      },
    },
  },
  smbios1: { schema: smbiosSchema },
  vga: {
    schema: {
      defaultKey: 'type',
      keys: { type: oneOf(...displays), memory: integer(4, 512), clipboard: oneOf('vnc') },
    },
  },
  efidisk: { most: 0, schema: driveSchemas.efidisk ?? netSchema },
  ide: { most: 3, schema: driveSchemas.ide ?? netSchema },
  ipconfig: { most: 31, schema: ipconfigSchema },
  net: { most: 31, schema: netSchema },
  sata: { most: 5, schema: driveSchemas.sata ?? netSchema },
  scsi: { most: 30, schema: driveSchemas.scsi ?? netSchema },
  tpmstate: { most: 0, schema: driveSchemas.tpmstate ?? netSchema },
  unused: { most: 255, schema: driveSchemas.unused ?? netSchema },
  virtio: { most: 15, schema: driveSchemas.virtio ?? netSchema },
}

const serial = matching(/^(\/dev\/.+|socket)$/)

/** What an option of a VM's configuration must be; undefined for one that there is not. */
export function vmOption(name: string): Spec | undefined {
  if (Object.hasOwn(plain, name)) return plain[name]
  if (/^serial[0-3]$/.test(name)) return serial
  const [, stem = name, digits] = /^([a-z_]+?)(\d+)$/.exec(name) ?? []
  const whole = structured[name]
  if (whole !== undefined && whole.most === undefined) return formatted(propertyFormat(name, whole.schema))
  const indexed = structured[stem]
  if (indexed?.most === undefined || digits === undefined || Number(digits) > indexed.most) return undefined
  return formatted(propertyFormat(name, indexed.schema))
}

/** Options that cloud-init's drive is made of, beside the network's. */
export const cloudInitOptions =
  'cicustom cipassword citype ciupgrade ciuser nameserver searchdomain sshkeys'.split(' ')
