import { formatDuration, formatTable } from '../report/table.ts'
import type { Emulator } from './accelerator.ts'
import type { Candidate } from './candidate.ts'
import type { ProofOutcome } from './contract.ts'

/** The result of a proof as it is written to `test-report.json`. Times of day are ISO 8601, durations milliseconds. */
export interface TestReport extends Omit<ProofOutcome, 'rawSha256'> {
  readonly schema: 1
  readonly image: string
  readonly version: string | null
  readonly passed: boolean
  readonly qcow2: string
  readonly raw: { readonly sha256: string | null }
  /** Whether there was a manifest to compare with. */
  readonly manifest: boolean
  readonly accelerator: { readonly kind: 'kvm' | 'tcg'; readonly qemu: string; readonly reason: string }
  readonly started: string
  readonly duration: number
}

/** Puts a report together. A proof has passed when no check failed. */
export function makeReport(
  candidate: Candidate,
  emulator: Emulator,
  outcome: ProofOutcome,
  time: { readonly started: Date; readonly durationMs: number },
): TestReport {
  const { checks, boot, balanced, measured } = outcome
  return {
    schema: 1,
    image: candidate.image,
    version: candidate.manifest?.version ?? null,
    passed: checks.every(({ status }) => status !== 'failed'),
    qcow2: candidate.qcow2.split('/').at(-1) ?? '',
    raw: { sha256: outcome.rawSha256 },
    manifest: candidate.manifest !== undefined,
    accelerator: { kind: emulator.accelerator, qemu: emulator.version, reason: emulator.reason },
    started: time.started.toISOString(),
    duration: Math.round(time.durationMs),
    checks,
    boot,
    measured,
    balanced,
  }
}

// Longer ones are cut in the table; those of failures follow it in full.
const seenWidth = 90

/** The report for people: a row per check, and what was measured. */
export function describeReport(report: TestReport): string {
  const rows = report.checks.map(({ group, title, status, detail, ms }) => [
    group,
    title,
    status,
    formatDuration(ms),
    detail.length > seenWidth ? `${detail.slice(0, seenWidth - 1)}…` : detail,
  ])
  const failures = report.checks.filter(({ status }) => status === 'failed')
  const count = (status: string) => report.checks.filter((check) => check.status === status).length
  const { kind, qemu, reason } = report.accelerator
  const answers = report.balanced.map(({ backend }) => backend).join(' ')
  const measured = Object.entries(report.measured).map(
    ([name, ms]) => `${name.replace(/Ms$/, '')} ${formatDuration(ms)}`,
  )
  const stages = Object.entries(report.boot.stages).map(([name, ms]) => `${name} ${formatDuration(ms)}`)
  return [
    formatTable(['group', 'check', 'result', 'time', 'seen'], rows),
    '',
    ...failures.map(({ name, detail }) => `${name}: ${detail}`),
    ...(answers === '' ? [] : [`answers in turn: ${answers}`]),
    ...(measured.length === 0 ? [] : [`measured: ${measured.join(', ')}`]),
    ...(report.boot.readyMs === null
      ? []
      : [`first boot: ready after ${formatDuration(report.boot.readyMs)} (${stages.join(', ')})`]),
    `machine: QEMU ${qemu} with ${kind.toUpperCase()}${reason === '' ? '' : `, as KVM does not work: ${reason}`}`,
    ...(report.manifest ? [] : ['no manifest beside the image: its digests were compared with nothing']),
    `${report.passed ? 'PASSED' : 'FAILED'}: ${report.image} ${report.version ?? ''}`.trimEnd() +
      `, ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped, in ${formatDuration(report.duration)}`,
  ].join('\n')
}
