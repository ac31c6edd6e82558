import { z } from 'zod'
import type { Image } from '../image/definition.ts'
import { type Lock, lockDigest } from '../image/lock.ts'
import type { Platform } from '../platform/schema.ts'
import { cardOptions, zoneOf } from '../platform/zones.ts'
import { UsageError } from '../report/error.ts'
import { foreignLine, foreignText, sha256Hex } from '../report/text-schemas.ts'
import { LAYERS } from './layers.ts'
import type { Usr } from './usr.ts'

/** `IMAGE-VERSION.manifest.json`. Sizes in bytes, `epoch` in seconds since 1970, `timings` in milliseconds. */
export const manifestSchema = z.object({
  schema: z.literal(1),
  image: foreignLine,
  version: foreignLine,
  description: foreignText,
  /** The roles of clones; the first one determines the size of the template. */
  roles: z.array(foreignLine).min(1),
  base: foreignLine,
  epoch: z.int(),
  /** The whole disk, uncompressed: the image's identity. */
  raw: z.object({ sha256: sha256Hex, size: z.int() }),
  /** dm-verity's root hash of /usr: the identity a running machine can show. */
  usr: z.object({ roothash: sha256Hex, size: z.int() }),
  /** How the disk is packed. */
  qcow2: z.object({ file: foreignLine, sha256: sha256Hex, size: z.int() }),
  kernel: z.object({ version: foreignLine, commandLine: foreignLine }),
  /** The unified kernel image, the file that the firmware starts. */
  uki: z.object({ sha256: sha256Hex }),
  /** The ports that its firewall opens, by role, such as `tcp/6443`. */
  ports: z.record(foreignLine, z.array(foreignLine)),
  /** The number of files and links, and those without an owner. */
  files: z.object({ total: z.int(), unowned: z.array(foreignLine) }),
  lock: z.object({ sha256: sha256Hex }),
  /** `commit` is null outside a git checkout; `dirty` means uncommitted changes. */
  source: z.object({ commit: foreignLine.nullable(), dirty: z.boolean() }),
  /** The packages, name → version. */
  packages: z.record(foreignLine, foreignLine),
  /** The upstream tarballs, by name. */
  artifacts: z.record(foreignLine, z.object({ version: foreignLine, sha256: sha256Hex })).default({}),
  /** The container images, by name: tag, and digest of the manifest. */
  containers: z.record(foreignLine, z.object({ version: foreignLine, sha256: sha256Hex })).default({}),
  tools: z.record(foreignLine, foreignLine),
  timings: z.record(foreignLine, z.number()),
  /** The layers that this build made; the others came from its cache. */
  made: z.array(foreignLine),
})

export type Manifest = z.output<typeof manifestSchema>

/** The layers that a build used from its cache. */
export function cachedLayers({ made }: Pick<Manifest, 'made'>): string[] {
  return LAYERS.filter((kind) => !made.includes(kind))
}

type Version = Pick<Manifest, 'image' | 'version'>

/** The name of the file with the disk. */
export function qcow2Name({ image, version }: Version): string {
  return `${image}-${version}.qcow2`
}

/** The name of the file with the manifest. */
export function manifestName({ image, version }: Version): string {
  return `${image}-${version}.manifest.json`
}

/** The results of a build. */
export interface BuildFacts {
  readonly raw: { sha256: string; size: number }
  readonly qcow2: { sha256: string; size: number }
  readonly usrSize: number
  readonly kernelVersion: string
  readonly ukiSha256: string
  readonly ports: Readonly<Record<string, readonly string[]>>
  readonly files: { readonly total: number; readonly unowned: readonly string[] }
  readonly commandLine: string
  readonly source: { commit: string | null; dirty: boolean }
  readonly timings: Readonly<Record<string, number>>
  readonly made: readonly string[]
}

/** The tools whose versions are in the manifest; all others are in the lock. */
const listedTools = ['mmdebstrap', 'systemd-ukify', 'erofs-utils', 'e2fsprogs', 'qemu-utils']

/** The manifest of a finished build. */
export function createManifest(image: Image, lock: Lock, usr: Usr, facts: BuildFacts): Manifest {
  return {
    schema: 1,
    image: image.name,
    version: lock.version,
    description: image.description,
    roles: [...image.roles],
    base: image.base.name,
    epoch: lock.epoch,
    raw: facts.raw,
    usr: { roothash: usr.roothash, size: facts.usrSize },
    qcow2: { file: qcow2Name({ image: image.name, version: lock.version }), ...facts.qcow2 },
    kernel: { version: facts.kernelVersion, commandLine: facts.commandLine },
    uki: { sha256: facts.ukiSha256 },
    ports: Object.fromEntries(Object.entries(facts.ports).map(([role, ports]) => [role, [...ports]])),
    files: { total: facts.files.total, unowned: [...facts.files.unowned] },
    lock: { sha256: lockDigest(lock) },
    source: facts.source,
    packages: Object.fromEntries(lock.packages.map(({ name, version }) => [name, version])),
    artifacts: digestsByName(lock.artifacts),
    containers: digestsByName(lock.containers),
    tools: Object.fromEntries(
      lock.tools.filter(({ name }) => listedTools.includes(name)).map(({ name, version }) => [name, version]),
    ),
    timings: { ...facts.timings },
    made: [...facts.made],
  }
}

function digestsByName(files: readonly { name: string; version: string; sha256: string }[]) {
  return Object.fromEntries(
    files.map(({ name, version, sha256: digest }) => [name, { version, sha256: digest }]),
  )
}

/**
 * `template.conf`: the settings of a template on a Proxmox VE host, as KEY=value lines that a shell can read. Values have no
 * quotes, spaces or line breaks.
 * @throws UsageError when the platform file does not have a role of the image
 */
export function templateConf(manifest: Manifest, platform: Platform): string {
  const known = (name: string) => platform.roles[name as keyof Platform['roles']]
  const [first = ''] = manifest.roles
  const role = known(first)
  const unknown = manifest.roles.find((name) => known(name) === undefined)
  if (!role || unknown !== undefined) {
    throw new UsageError(
      `${manifest.image} has the role "${unknown}", which the platform file does not have`,
      { fix: `use one of ${Object.keys(platform.roles).join(', ')} in its image.yaml` },
    )
  }
  const cards = role.zones.map((name) => {
    const zone = zoneOf(platform, name)
    return [zone.bridge, ...cardOptions(zone)].join('/')
  })
  const values: Record<string, string | number> = {
    ...identityConf(manifest),
    CORES: role.cores,
    MEMORY: role.memory,
    DISK_GIB: role.disk,
    // Of each card, such as vmbr11 or vmbr0/tag=20/mtu=1400.
    BRIDGES: cards.join(','),
    OSTYPE: 'l26',
    BIOS: 'ovmf',
    MACHINE: 'q35',
    SCSIHW: 'virtio-scsi-single',
    // The default of Proxmox VE's dialogue: it has AES for TLS, and a VM can migrate between hosts.
    CPU: 'x86-64-v2-AES',
  }
  return Object.entries(values)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}

/** The keys of `template.conf` about the image, in order. The others are about the site. */
export function identityConf(manifest: Manifest): Record<string, string | number> {
  return {
    IMAGE: manifest.image,
    VERSION: manifest.version,
    ROLES: manifest.roles.join(','),
    BASE: manifest.base,
    QCOW2: manifest.qcow2.file,
    QCOW2_SHA256: manifest.qcow2.sha256,
    RAW_SHA256: manifest.raw.sha256,
    RAW_SIZE: manifest.raw.size,
    USR_ROOTHASH: manifest.usr.roothash,
    UKI_SHA256: manifest.uki.sha256,
    LOCK_SHA256: manifest.lock.sha256,
    COMMIT: manifest.source.commit ?? '',
    EPOCH: manifest.epoch,
  }
}
