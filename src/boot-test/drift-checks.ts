import { parseJson } from '../files/json.ts'
import { type DriftFinding, type DriftResult, driftResultSchema } from '../guest/drift-result.ts'
import type { Clone } from '../vm/clone.ts'
import { type CheckPlan, expect, type Recorder } from './checks.ts'

/** What every image has to notice of itself. */
export const driftChecks = [
  { name: 'undrifted', group: 'image', title: 'finds no drift after its work' },
] as const satisfies readonly CheckPlan[]

/** For a clone that is not needed any more. */
export const driftNamedChecks = [
  { name: 'drift', group: 'image', title: 'names every kind of drift' },
] as const satisfies readonly CheckPlan[]

/** Passes when none of the clones, which have done their work, has anything to report. */
export async function checkUndrifted(
  checks: Recorder<'undrifted'>,
  clones: readonly Clone[],
): Promise<boolean> {
  return await checks.run('undrifted', async () => {
    const said = await Promise.all(clones.map(async (clone) => ({ clone, drift: await askDrift(clone) })))
    for (const { clone, drift } of said) {
      const found = drift.findings.map(describeFinding).join('; ')
      expect(drift.state === 'clean', `${clone.name} says ${drift.state}: ${found || 'nothing was compared'}`)
    }
    return `${said.map(({ clone }) => clone.name).join(', ')}: clean`
  })
}

/** Asks a clone to compare itself now. */
export async function askDrift({ agent, name }: Clone): Promise<DriftResult> {
  const { exitCode, stdout, stderr } = await agent.exec(['/usr/sbin/seeder-drift', 'check'], {
    timeoutMs: 300_000,
  })
  expect(exitCode <= 2, `seeder-drift of ${name} ended with ${exitCode}: ${stderr.trim()}`)
  return parseJson(stdout, driftResultSchema)
}

function describeFinding({ kind, name, detail }: DriftFinding): string {
  return `${kind} ${name} (${detail})`
}

// One change after the other, each of another kind.
const driftScript = `
set -e
echo '# changed' >> /etc/sysctl.d/60-seeder.conf
chmod 0666 /etc/fstab
echo 'ALL ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/proof
rm /etc/systemd/journald.conf.d/seeder.conf
systemctl enable --quiet serial-getty@ttyS9.service
systemctl disable --quiet seeder-firewall.service
systemctl mask --quiet systemd-hostnamed.service
systemctl mask --runtime --quiet systemd-tmpfiles-clean.service
systemctl stop systemd-timesyncd.service
systemd-run --quiet --unit=proof-fails --property=Type=oneshot --wait false || true
echo changed >> /var/lib/seeder/state.list
mkdir -p /run/proof
mount -t vfat /dev/disk/by-partlabel/esp /run/proof
echo changed >> /run/proof/EFI/BOOT/BOOTX64.EFI
cp /etc/fstab /run/proof/EFI/BOOT/OTHER.EFI
umount /run/proof
`

/** What has to be reported of it; `/usr` is the block that the tampering check has changed. */
const provoked: readonly Pick<DriftFinding, 'kind' | 'name'>[] = [
  { kind: 'file-changed', name: '/etc/sysctl.d/60-seeder.conf' },
  { kind: 'file-changed', name: '/etc/fstab' },
  { kind: 'file-added', name: '/etc/sudoers.d/proof' },
  { kind: 'file-removed', name: '/etc/systemd/journald.conf.d/seeder.conf' },
  { kind: 'unit-enabled', name: 'serial-getty@ttyS9.service' },
  { kind: 'unit-disabled', name: 'seeder-firewall.service' },
  { kind: 'unit-masked', name: 'systemd-hostnamed.service' },
  { kind: 'unit-masked', name: 'systemd-tmpfiles-clean.service' },
  { kind: 'unit-stopped', name: 'systemd-timesyncd.service' },
  { kind: 'unit-failed', name: 'proof-fails.service' },
  { kind: 'list-changed', name: '/var/lib/seeder/state.list' },
  { kind: 'kernel-changed', name: 'EFI/BOOT/BOOTX64.EFI' },
  { kind: 'kernel-added', name: 'EFI/BOOT/OTHER.EFI' },
]

/** Changes a clone, whose /usr was tampered with before, in every way; each has to be reported by its name, and no other. */
export async function checkDriftNamed(checks: Recorder<'drift'>, clone: Clone): Promise<void> {
  await checks.run('drift', async () => {
    const changed = await clone.agent.exec(['/bin/bash', '-c', driftScript], { timeoutMs: 300_000 })
    expect(changed.exitCode === 0, `it could not be changed: ${changed.stderr.trim()}`)
    const { findings } = await askDrift(clone)
    const missed = provoked.filter(
      ({ kind, name }) => !findings.some((one) => one.kind === kind && one.name === name),
    )
    expect(
      missed.length === 0,
      `not reported: ${missed.map(({ kind, name }) => `${kind} ${name}`).join(', ')}`,
    )
    const damaged = findings.filter(({ kind }) => kind === 'usr-damaged').map(({ name }) => name)
    expect(damaged.length > 0, 'the damage to /usr was not reported')
    const others = findings.filter(
      (one) =>
        one.kind !== 'usr-damaged' &&
        !provoked.some(({ kind, name }) => one.kind === kind && one.name === name),
    )
    expect(others.length === 0, `reported, but not done: ${others.map(describeFinding).join('; ')}`)
    return `${provoked.length} changes and the damage to ${damaged.join(', ')} were named`
  })
}
