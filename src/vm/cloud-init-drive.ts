import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import type { VendorFile } from '../guest/vendor-data.ts'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** A network card as Proxmox describes it to cloud-init. */
export interface CloudNic {
  readonly mac: string
  /** `dhcp`, or an address with prefix length, for example `10.0.0.11/26`. */
  readonly address: string
  /** The default gateway, on one card at most. */
  readonly gateway: string | undefined
}

/** The settings of the Cloud-Init tab, and the vendor data of `cicustom`. */
export interface CloudInit {
  readonly hostname: string
  readonly user: string
  readonly sshKeys: readonly string[]
  readonly nics: readonly CloudNic[]
  readonly nameservers: readonly string[]
  readonly searchDomain: string
  readonly files: readonly VendorFile[]
}

/** The files on a cloud-init drive, by name. */
export type DriveFiles = Readonly<
  Record<'user-data' | 'network-config' | 'meta-data' | 'vendor-data', string>
>

/**
 * The drive's files as Proxmox VE (qemu-server 9) writes them for `citype nocloud`: network configuration version 1 keyed by
 * hardware address, and an instance id that is the SHA-1 of user data and network configuration, so that every edit makes
 * the node a new instance for cloud-init.
 */
export function driveFiles(config: CloudInit): DriveFiles {
  const userData = `#cloud-config\n${stringify({
    hostname: config.hostname,
    manage_etc_hosts: true,
    fqdn: `${config.hostname}.${config.searchDomain}`,
    user: config.user,
    ssh_authorized_keys: config.sshKeys,
    chpasswd: { expire: false },
    users: ['default'],
    package_upgrade: false,
  })}`
  const networkConfig = stringify({
    version: 1,
    config: [
      ...config.nics.map((nic, index) => ({
        type: 'physical',
        name: `eth${index}`,
        mac_address: nic.mac.toLowerCase(),
        subnets: [subnet(nic)],
      })),
      { type: 'nameserver', address: config.nameservers, search: [config.searchDomain] },
    ],
  })
  const instance = createHash('sha1')
    .update(userData + networkConfig)
    .digest('hex')
  return {
    'user-data': userData,
    'network-config': networkConfig,
    'meta-data': `instance-id: ${instance}\n`,
    'vendor-data': `#cloud-config\n${stringify({
      write_files: config.files.map(({ path, permissions, content }) => ({ path, permissions, content })),
    })}`,
  }
}

function subnet({ address, gateway }: CloudNic): object {
  if (address === 'dhcp') return { type: 'dhcp4' }
  const [ip, prefix] = address.split('/')
  const mask = (0xffffffff << (32 - Number(prefix))) >>> 0
  return {
    type: 'static',
    address: ip,
    netmask: [24, 16, 8, 0].map((shift) => (mask >>> shift) & 255).join('.'),
    ...(gateway === undefined ? {} : { gateway }),
  }
}

/** `genisoimage` arguments for a drive made of a folder, as Proxmox VE uses them. */
export function isoArguments(folder: string, iso: string): string[] {
  return ['-quiet', '-iso-level', '3', '-R', '-V', 'cidata', '-o', iso, folder]
}

/**
 * Writes a cloud-init drive.
 * @param iso where it is written; replaced if it exists
 * @throws SeederError when genisoimage is missing
 */
export async function makeDrive(files: DriveFiles, iso: string): Promise<void> {
  await mkdir(dirname(iso), { recursive: true })
  const folder = await mkdtemp(join(dirname(iso), 'drive-'))
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
    await execa('genisoimage', isoArguments(folder, iso))
  } catch (cause) {
    throw new SeederError('could not write the cloud-init drive with genisoimage', {
      fix: 'run scripts/setup.sh, which installs genisoimage',
      cause,
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
