import { access } from 'node:fs/promises'
import { SeederError } from '../report/error.ts'

/** UEFI firmware: the code, shared and read-only, and the pristine variables every VM takes a copy of. */
export interface Firmware {
  readonly code: string
  readonly vars: string
}

// Proxmox VE's own package first, as on its hosts that is the firmware a clone really starts with.
const known: readonly Firmware[] = ['/usr/share/pve-edk2-firmware', '/usr/share/OVMF'].map((folder) => ({
  code: `${folder}/OVMF_CODE_4M.fd`,
  vars: `${folder}/OVMF_VARS_4M.fd`,
}))

/**
 * The UEFI firmware of this machine (4 MiB build, no Secure Boot keys).
 * @throws SeederError when neither Proxmox VE's nor Debian's package is there
 */
export async function findFirmware(candidates: readonly Firmware[] = known): Promise<Firmware> {
  for (const candidate of candidates) {
    const present = await Promise.all([readable(candidate.code), readable(candidate.vars)])
    if (present.every(Boolean)) return candidate
  }
  throw new SeederError(
    `no UEFI firmware was found (looked for ${candidates.map(({ code }) => code).join(', ')})`,
    {
      fix: 'run scripts/setup.sh, which installs ovmf (on Proxmox VE, pve-edk2-firmware-ovmf serves)',
    },
  )
}

async function readable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
