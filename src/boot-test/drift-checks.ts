import { parseJson } from '../files/json.ts'
import { type DriftFinding, type DriftResult, driftResultSchema } from '../guest/drift-result.ts'
import type { Clone } from '../vm/clone.ts'
import { type CheckPlan, expect, type Recorder } from './checks.ts'

/** What every image has to detect by itself. */
export const driftChecks = [
  { name: 'undrifted', group: 'image', title: 'finds no drift after its work' },
] as const satisfies readonly CheckPlan[]

/** For a clone that is no longer needed. */
export const driftNamedChecks = [
  { name: 'drift', group: 'image', title: 'names every kind of drift' },
] as const satisfies readonly CheckPlan[]

/** Passes when no clone reports drift after its work. */
export async function checkUndrifted(
  checks: Recorder<'undrifted'>,
  clones: readonly Clone[],
): Promise<boolean> {
  return await checks.run('undrifted', async () => {
    const results = await Promise.all(clones.map(readDrift))
    for (const [index, { state, findings }] of results.entries()) {
      const found = findings.map(describeFinding).join('; ') || 'nothing was compared'
      expect(state === 'clean', `${clones[index]?.name} reports ${state}: ${found}`)
    }
    return `${clones.map(({ name }) => name).join(', ')}: clean`
  })
}

/** Runs the drift check of a clone. */
async function readDrift({ agent, name }: Clone): Promise<DriftResult> {
  const { exitCode, stdout, stderr } = await agent.exec(['/usr/sbin/seeder-drift', 'check'], {
    timeoutMs: 300_000,
  })
  expect(exitCode <= 2, `seeder-drift of ${name} ended with ${exitCode}: ${stderr.trim()}`)
  return parseJson(stdout, driftResultSchema)
}

function describeFinding({ kind, name, detail }: DriftFinding): string {
  return `${kind} ${name} (${detail})`
}

// One change of each kind.
const DRIFT_SCRIPT = `
set -e
echo '# changed' >> /etc/sysctl.d/60-seeder.conf
chmod 0666 /etc/fstab
echo 'ALL ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/test
rm /etc/systemd/journald.conf.d/seeder.conf
systemctl enable --quiet serial-getty@ttyS9.service
systemctl disable --quiet seeder-firewall.service
systemctl mask --quiet systemd-hostnamed.service
systemctl mask --runtime --quiet systemd-tmpfiles-clean.service
systemctl stop systemd-timesyncd.service
systemd-run --quiet --unit=test-fails --property=Type=oneshot --wait false || true
echo changed >> /var/lib/seeder/state.list
mkdir -p /run/test
mount -t vfat /dev/disk/by-partlabel/esp /run/test
echo changed >> /run/test/EFI/BOOT/BOOTX64.EFI
cp /etc/fstab /run/test/EFI/BOOT/OTHER.EFI
umount /run/test
`

/** The findings that these changes have to give. */
const expected: readonly Pick<DriftFinding, 'kind' | 'name'>[] = [
  { kind: 'file-changed', name: '/etc/sysctl.d/60-seeder.conf' },
  { kind: 'file-changed', name: '/etc/fstab' },
  { kind: 'file-added', name: '/etc/sudoers.d/test' },
  { kind: 'file-removed', name: '/etc/systemd/journald.conf.d/seeder.conf' },
  { kind: 'unit-enabled', name: 'serial-getty@ttyS9.service' },
  { kind: 'unit-disabled', name: 'seeder-firewall.service' },
  { kind: 'unit-masked', name: 'systemd-hostnamed.service' },
  { kind: 'unit-masked', name: 'systemd-tmpfiles-clean.service' },
  { kind: 'unit-stopped', name: 'systemd-timesyncd.service' },
  { kind: 'unit-failed', name: 'test-fails.service' },
  { kind: 'list-changed', name: '/var/lib/seeder/state.list' },
  { kind: 'kernel-changed', name: 'EFI/BOOT/BOOTX64.EFI' },
  { kind: 'kernel-added', name: 'EFI/BOOT/OTHER.EFI' },
]

/**
 * Changes a clone in every way. Each change has to be reported by name, together with the block of `/usr` that
 * `checkTampering` changed before, and nothing else.
 */
export async function checkDriftNamed(checks: Recorder<'drift'>, clone: Clone): Promise<void> {
  await checks.run('drift', async () => {
    const changed = await clone.agent.exec(['/bin/bash', '-c', DRIFT_SCRIPT], { timeoutMs: 300_000 })
    expect(changed.exitCode === 0, `the clone could not be changed: ${changed.stderr.trim()}`)
    const { findings } = await readDrift(clone)
    const includes = (list: typeof expected, { kind, name }: (typeof expected)[number]) =>
      list.some((finding) => finding.kind === kind && finding.name === name)
    const missed = expected.filter((finding) => !includes(findings, finding))
    expect(
      missed.length === 0,
      `not reported: ${missed.map(({ kind, name }) => `${kind} ${name}`).join(', ')}`,
    )
    const damaged = findings.filter(({ kind }) => kind === 'usr-damaged').map(({ name }) => name)
    expect(damaged.length > 0, 'the damage to /usr was not reported')
    const others = findings.filter(
      (finding) => finding.kind !== 'usr-damaged' && !includes(expected, finding),
    )
    expect(others.length === 0, `reported without a change: ${others.map(describeFinding).join('; ')}`)
    return `${expected.length} changes and the damage to ${damaged.join(', ')} were named`
  })
}
