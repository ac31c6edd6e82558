import { access } from 'node:fs/promises'
import { SeederError } from '../report/error.ts'

/** UEFI firmware: the code, which is only read, and the initial variables, which every VM copies. */
export interface Firmware {
  readonly code: string
  readonly vars: string
}

// Proxmox VE's package first, because its hosts boot clones with that firmware.
const packages: readonly Firmware[] = ['/usr/share/pve-edk2-firmware', '/usr/share/OVMF'].map((folder) => ({
  code: `${folder}/OVMF_CODE_4M.fd`,
  vars: `${folder}/OVMF_VARS_4M.fd`,
}))

/**
 * The UEFI firmware of this machine (4 MiB build, no Secure Boot keys).
 * @throws SeederError when neither Proxmox VE's nor Debian's package is there
 */
export async function findFirmware(installed: readonly Firmware[] = packages): Promise<Firmware> {
  for (const firmware of installed) {
    if ((await isReadable(firmware.code)) && (await isReadable(firmware.vars))) return firmware
  }
  throw new SeederError(
    `no UEFI firmware was found (looked for ${installed.map(({ code }) => code).join(', ')})`,
    {
      fix: 'run scripts/setup.sh, which installs ovmf (on Proxmox VE, pve-edk2-firmware-ovmf serves)',
    },
  )
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
