import { formatDuration, formatTable } from '../report/table.ts'
import type { Emulator } from './accelerator.ts'
import type { Candidate } from './candidate.ts'
import type { CheckResult } from './checks.ts'
import type { ProofOutcome } from './contract.ts'

/** What every proof leaves behind. Times of day are ISO 8601, durations milliseconds. */
interface ProofReport {
  readonly schema: 1
  readonly passed: boolean
  readonly accelerator: { readonly kind: 'kvm' | 'tcg'; readonly qemu: string; readonly reason: string }
  readonly started: string
  readonly duration: number
  readonly checks: readonly CheckResult[]
  readonly measured: Readonly<Record<string, number>>
}

/** The result of an image's own proof as it is written to `test-report.json`. */
export interface TestReport extends ProofReport {
  readonly image: string
  readonly version: string | null
  readonly qcow2: string
  readonly raw: { readonly sha256: string | null }
  /** Whether there was a manifest to compare with. */
  readonly manifest: boolean
  readonly boot: ProofOutcome['boot']
  readonly balanced: ProofOutcome['balanced']
}

/** The result of a proof of several images with each other as it is written to `together-report.json`. */
export interface TogetherReport extends ProofReport {
  readonly images: readonly {
    readonly image: string
    readonly version: string | null
    readonly qcow2: string
  }[]
}

/** When a proof began and how long it took. */
export interface ProofTime {
  readonly started: Date
  readonly durationMs: number
}

/** Puts the report of an image's own proof together. A proof has passed when no check failed. */
export function makeReport(
  candidate: Candidate,
  emulator: Emulator,
  outcome: ProofOutcome,
  time: ProofTime,
): TestReport {
  const { boot, balanced } = outcome
  return {
    ...imageOf(candidate),
    raw: { sha256: outcome.rawSha256 },
    manifest: candidate.manifest !== undefined,
    ...proofReport(emulator, outcome, time),
    boot,
    balanced,
  }
}

/** Puts the report of several images' proof with each other together. */
export function makeTogetherReport(
  candidates: readonly Candidate[],
  emulator: Emulator,
  outcome: ProofOutcome,
  time: ProofTime,
): TogetherReport {
  return { images: candidates.map(imageOf), ...proofReport(emulator, outcome, time) }
}

function imageOf({ image, manifest, qcow2 }: Candidate) {
  return { image, version: manifest?.version ?? null, qcow2: qcow2.split('/').at(-1) ?? '' }
}

function proofReport(emulator: Emulator, { checks, measured }: ProofOutcome, time: ProofTime): ProofReport {
  return {
    schema: 1,
    passed: checks.every(({ status }) => status !== 'failed'),
    accelerator: { kind: emulator.accelerator, qemu: emulator.version, reason: emulator.reason },
    started: time.started.toISOString(),
    duration: Math.round(time.durationMs),
    checks,
    measured,
  }
}

// Longer ones are cut in the table; those of failures follow it in full.
const seenWidth = 90

/** The report for people: a row per check, and what was measured. */
export function describeReport(report: TestReport | TogetherReport): string {
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
  const measured = Object.entries(report.measured).map(
    ([name, ms]) => `${name.replace(/Ms$/, '')} ${formatDuration(ms)}`,
  )
  const images = 'images' in report ? report.images : [report]
  const names = images.map(({ image, version }) => `${image} ${version ?? ''}`.trimEnd()).join(', ')
  return [
    formatTable(['group', 'check', 'result', 'time', 'seen'], rows),
    '',
    ...failures.map(({ name, detail }) => `${name}: ${detail}`),
    ...(measured.length === 0 ? [] : [`measured: ${measured.join(', ')}`]),
    ...('images' in report ? [] : describeImage(report)),
    `machine: QEMU ${qemu} with ${kind.toUpperCase()}${reason === '' ? '' : `, as KVM does not work: ${reason}`}`,
    `${report.passed ? 'PASSED' : 'FAILED'}: ${names}` +
      `, ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped, in ${formatDuration(report.duration)}`,
  ].join('\n')
}

function describeImage({ boot, balanced, manifest }: TestReport): string[] {
  const answers = balanced.map(({ backend }) => backend).join(' ')
  const stages = Object.entries(boot.stages).map(([name, ms]) => `${name} ${formatDuration(ms)}`)
  return [
    ...(answers === '' ? [] : [`answers in turn: ${answers}`]),
    ...(boot.readyMs === null
      ? []
      : [`first boot: ready after ${formatDuration(boot.readyMs)} (${stages.join(', ')})`]),
    ...(manifest ? [] : ['no manifest beside the image: its digests were compared with nothing']),
  ]
}
