import { spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { childEnvironment, execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** How a guest's instructions are executed: by the processor (KVM) or emulated by QEMU (TCG). */
export type Accelerator = 'kvm' | 'tcg'

/** UEFI firmware: the code, which is only read, and the initial variables, which every VM copies. */
export interface Firmware {
  readonly code: string
  readonly vars: string
}

/** The QEMU that runs the VMs. */
export interface Emulator {
  readonly binary: string
  /** For example `10.0.2`. */
  readonly version: string
  readonly accelerator: Accelerator
  /** Why KVM is not used; empty with KVM. */
  readonly reason: string
  readonly firmware: Firmware
}

// QEMU 7.2's emulation panics in the guest's virtio-scsi code under a 6.12 kernel; 10.0 boots it.
const MINIMUM_VERSION = 9
// Under a working KVM, firmware prints within two seconds; under a broken one it may hang for ever.
const PROBE_TIMEOUT_MS = 10_000

/**
 * Finds QEMU and its firmware, and tests KVM by running the firmware under it.
 * @throws SeederError when QEMU or the firmware is missing, or when KVM does not work and QEMU's emulation is too old
 */
export async function findEmulator(): Promise<Emulator> {
  const { binary, version } = await findQemu()
  const firmware = await findFirmware()
  const probe = await probeAccelerator(binary, firmware, 'kvm')
  if (probe.works) return { binary, version, accelerator: 'kvm', reason: '', firmware }
  requireEmulation(version, probe.reason)
  return { binary, version, accelerator: 'tcg', reason: probe.reason, firmware }
}

/**
 * Refuses a QEMU whose emulation cannot run the images' kernels.
 * @throws SeederError below version 9
 */
export function requireEmulation(version: string, kvmReason: string): void {
  if (Number.parseInt(version, 10) >= MINIMUM_VERSION) return
  throw new SeederError(
    `QEMU ${version} cannot emulate a machine for a 6.12 kernel, and KVM cannot be used (${kvmReason})`,
    { fix: `install QEMU ${MINIMUM_VERSION} or newer (Debian 12: from backports; scripts/setup.sh does it)` },
  )
}

/** The version in the first line of `qemu-system-x86_64 --version`, or undefined when there is none. */
export function parseQemuVersion(output: string): string | undefined {
  return /version (\d+\.\d+(?:\.\d+)?)/.exec(output)?.[1]
}

/**
 * The arguments for an accelerator and the processor that fits it. When QEMU 10.0 emulates several processors with a
 * thread each, it can lose the wake-up of one of them on a busy runner, and the boot hangs for ever. Several processors
 * take turns in one thread.
 */
export function acceleratorArguments(accelerator: Accelerator, processors: number): string[] {
  if (accelerator === 'kvm') return ['-accel', 'kvm', '-cpu', 'host']
  return ['-accel', `tcg,thread=${processors > 1 ? 'single' : 'multi'}`, '-cpu', 'max']
}

/** The number of processors of a clone. Emulated ones take turns (see above): a second one adds nothing. */
export function processorsFor(accelerator: Accelerator): number {
  return accelerator === 'kvm' ? 2 : 1
}

/**
 * Runs the firmware under an accelerator and waits for its first output on the serial port. That `/dev/kvm` exists is not
 * enough: nested virtualisation often fails at the first model register or hangs in the firmware.
 */
export async function probeAccelerator(
  binary: string,
  firmware: Firmware,
  accelerator: Accelerator,
  timeoutMs = PROBE_TIMEOUT_MS,
): Promise<{ works: boolean; reason: string }> {
  const args = [
    acceleratorArguments(accelerator, 1),
    ['-machine', 'q35,smm=off', '-m', '256', '-nodefaults', '-no-user-config', '-display', 'none'],
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${firmware.code}`],
    ['-drive', `if=pflash,unit=1,format=raw,snapshot=on,file=${firmware.vars}`],
    ['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
  ].flat()
  const child = spawn(binary, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    env: childEnvironment(),
  })
  const errors: string[] = []
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line))
  const { promise, resolve } = Promise.withResolvers<{ works: boolean; reason: string }>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.includes('BdsDxe')) resolve({ works: true, reason: '' })
  })
  child.on('error', (error) => resolve({ works: false, reason: error.message }))
  child.on('close', () =>
    resolve({ works: false, reason: shortReason(errors[0] ?? 'QEMU ended without a message') }),
  )
  const timer = setTimeout(
    () => resolve({ works: false, reason: `the firmware did not start within ${timeoutMs / 1000} s` }),
    timeoutMs,
  )
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    child.kill('SIGKILL')
  }
}

/** QEMU's first error message without the name of the program. */
function shortReason(line: string): string {
  return line.replace(/^\S+: (?:-accel kvm: )?(?:error: )?/, '').trim()
}

async function findQemu(): Promise<{ binary: string; version: string }> {
  // Proxmox VE also installs its QEMU under the name kvm.
  for (const binary of ['qemu-system-x86_64', 'kvm']) {
    const result = await execa(binary, ['--version'], { reject: false })
    const version = parseQemuVersion(result.stdout ?? '')
    if (version !== undefined) return { binary, version }
  }
  throw new SeederError('no QEMU for x86-64 was found (qemu-system-x86_64, kvm)', {
    fix: 'run scripts/setup.sh, which installs qemu-system-x86',
  })
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
