import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { PveError } from '../failure.ts'

/** How this machine runs VMs. */
export interface Emulator {
  readonly kvm: boolean
  /** The firmware's code, and the file with the variables of a new VM. */
  readonly firmware: { readonly code: string; readonly vars: string }
}

export const QEMU = 'qemu-system-x86_64'

const NOTE = '/run/stand-in/emulator.json'
const FOLDERS = ['/usr/share/pve-edk2-firmware', '/usr/share/OVMF']
// Under KVM the firmware prints within two seconds.
const PROBE_MS = 10_000

/** What the host uses. Probing takes seconds, so the host remembers the result. */
export async function knownEmulator(): Promise<Emulator> {
  if (existsSync(NOTE)) return JSON.parse(readFileSync(NOTE, 'utf8'))
  const folder = FOLDERS.find((name) => existsSync(`${name}/OVMF_CODE_4M.fd`))
  if (folder === undefined) throw new PveError('the machine has no UEFI firmware: install ovmf')
  const firmware = { code: `${folder}/OVMF_CODE_4M.fd`, vars: `${folder}/OVMF_VARS_4M.fd` }
  const emulator = { kvm: existsSync('/dev/kvm') && (await startsFirmware(firmware)), firmware }
  writeFileSync(NOTE, JSON.stringify(emulator))
  return emulator
}

/** The accelerator and processor in QEMU's arguments. */
export function acceleratorArguments({ kvm }: Emulator): string[] {
  return kvm ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', 'tcg,thread=multi', '-cpu', 'max']
}

/** Whether the firmware starts under KVM: the device exists also where nested virtualisation hangs. */
function startsFirmware({ code, vars }: Emulator['firmware']): Promise<boolean> {
  const child = spawn(
    QEMU,
    [
      ...acceleratorArguments({ kvm: true, firmware: { code, vars } }),
      '-machine',
      'q35,smm=off',
      '-m',
      '256',
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-drive',
      `if=pflash,unit=0,format=raw,readonly=on,file=${code}`,
      '-drive',
      `if=pflash,unit=1,format=raw,snapshot=on,file=${vars}`,
      '-serial',
      'stdio',
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  return new Promise((resolve) => {
    const end = (works: boolean) => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      resolve(works)
    }
    const timer = setTimeout(() => end(false), PROBE_MS)
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += String(chunk)
      if (text.includes('BdsDxe')) end(true)
    })
    child.on('error', () => end(false))
    child.on('close', () => end(false))
  })
}
