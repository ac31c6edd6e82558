/** A line of a serial console and when it arrived, in milliseconds since the VM was started. */
export interface ConsoleLine {
  readonly ms: number
  readonly text: string
}

/** A known kind of failure that a console shows. */
export interface ConsoleFailure {
  readonly kind: string
  readonly ms: number
  readonly text: string
}

/** A line that looks like a failure, and why it is none. */
export interface AllowedLine {
  readonly pattern: RegExp
  readonly reason: string
}

// In order of precedence: the first kind that matches names the line.
const kinds: readonly { readonly kind: string; readonly pattern: RegExp }[] = [
  { kind: 'kernel panic', pattern: /Kernel panic - not syncing/ },
  { kind: 'kernel oops', pattern: /\bOops: |general protection fault|unable to handle (page fault|kernel)/ },
  { kind: 'kernel BUG', pattern: /kernel BUG at|BUG: (?!.*(soft lockup|workqueue lockup))/ },
  { kind: 'lockup', pattern: /soft lockup|hard LOCKUP|workqueue lockup|rcu_\w+ (self-)?detected.*stall/ },
  { kind: 'hung task', pattern: /blocked for more than \d+ seconds/ },
  { kind: 'out of memory', pattern: /Out of memory: Killed process|oom-kill:|invoked oom-killer/ },
  {
    kind: 'verity corruption',
    pattern: /device-mapper: verity: .*(corrupted|FEC)|verity.*(data|metadata) block/,
  },
  { kind: 'I/O error', pattern: /I\/O error|EXT4-fs error|erofs: \(device .*\): .*(corrupt|fail)/ },
  {
    kind: 'unclean file system',
    pattern: /file system is mounted read-only|Remounting filesystem read-only/,
  },
  { kind: 'segmentation fault', pattern: /segfault at |traps: .* (general protection|trap)/ },
  { kind: 'emergency mode', pattern: /You are in (emergency|rescue) mode|Entering emergency mode/ },
  { kind: 'unit failed', pattern: /\bFailed to start |\[FAILED\]/ },
  { kind: 'dependency failed', pattern: /\bDependency failed for /i },
  { kind: 'ordering cycle', pattern: /[Ff]ound ordering cycle|ordering cycle found/ },
  { kind: 'start timeout', pattern: /Timed out waiting for device / },
  { kind: 'no init', pattern: /No working init found|Unable to mount root fs/ },
  { kind: 'nothing to boot', pattern: /UEFI Interactive Shell|BdsDxe: No bootable option/ },
  { kind: 'cloud-init failure', pattern: /cloud-init\[\d+\].*(Traceback|ERROR|CRITICAL)/ },
]

// After a failure of these kinds a boot never gets ready.
const fatalKinds = ['kernel panic', 'emergency mode', 'no init', 'nothing to boot']

/**
 * Whether a kernel panicked because its first timer did not tick. That happens when an emulator gets no processor time for
 * a sixth of a second (QEMU 10.0, eight VMs on two cores). With KVM the kernel does not check its timer.
 */
export function isLostTimer(text: string): boolean {
  return /Kernel panic - not syncing: IO-APIC \+ timer doesn't work/.test(text)
}

/** Whether this boot can never get ready after a line. */
export function isFatal(text: string): boolean {
  if (isLostTimer(text)) return false
  return kinds.some(({ kind, pattern }) => fatalKinds.includes(kind) && pattern.test(text))
}

/** Lines that every guest under QEMU may print. */
export const harmlessLines: readonly AllowedLine[] = [
  {
    pattern: /I\/O error, dev (sr|fd)0/,
    reason: 'a removable drive without a medium, probed by the kernel',
  },
]

/** The failures that a console shows, without allowed lines. */
export function consoleFailures(
  lines: readonly ConsoleLine[],
  allowed: readonly AllowedLine[] = harmlessLines,
): ConsoleFailure[] {
  return lines.flatMap(({ ms, text }) => {
    const found = kinds.find(({ pattern }) => pattern.test(text))
    if (!found || allowed.some(({ pattern }) => pattern.test(text))) return []
    return [{ kind: found.kind, ms, text: text.trim() }]
  })
}
