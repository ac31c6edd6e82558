import { z } from 'zod'
import { oneLine } from '../report/printable.ts'
import { formatDuration, formatTable } from '../report/table.ts'
import type { Emulator } from '../vm/emulator.ts'
import { bootTimesSchema } from './boot-times.ts'
import { checkResultSchema } from './checks.ts'
import type { TestOutcome } from './contract.ts'
import type { ImageUnderTest } from './image-under-test.ts'

/** The part that all reports share. Times of day are ISO 8601, durations milliseconds. */
const reportBaseSchema = z.object({
  schema: z.literal(1),
  passed: z.boolean(),
  accelerator: z.object({ kind: z.enum(['kvm', 'tcg']), qemu: z.string(), reason: z.string() }).readonly(),
  started: z.iso.datetime(),
  duration: z.int().nonnegative(),
  checks: z.array(checkResultSchema).readonly(),
  measured: z.record(z.string(), z.number()).readonly(),
})
type ReportBase = Readonly<z.output<typeof reportBaseSchema>>

/** The version is null without a manifest. */
const testedImageSchema = z.object({ image: z.string(), version: z.string().nullable(), qcow2: z.string() })

/** `test-report.json`: the result of the test of one image. */
export const testReportSchema = z
  .object({
    ...testedImageSchema.shape,
    raw: z.object({ sha256: z.string().nullable() }).readonly(),
    /** Whether there was a manifest to compare with. */
    manifest: z.boolean(),
    ...reportBaseSchema.shape,
    boot: bootTimesSchema.readonly(),
    /** Responses that came through the image, in order: the backend, and the client address that it saw. */
    balanced: z.array(z.object({ backend: z.string(), client: z.string() }).readonly()).readonly(),
  })
  .readonly()

export type TestReport = z.output<typeof testReportSchema>

/** `together-report.json`: the result of the test of several images with each other. */
export const togetherReportSchema = z
  .object({ images: z.array(testedImageSchema.readonly()).readonly(), ...reportBaseSchema.shape })
  .readonly()

export type TogetherReport = z.output<typeof togetherReportSchema>

/** When a test began and how long it took. */
export interface TestTime {
  readonly started: Date
  readonly durationMs: number
}

/** Makes the report of one image. A test has passed when no check failed. */
export function makeReport(
  image: ImageUnderTest,
  emulator: Emulator,
  outcome: TestOutcome,
  time: TestTime,
): TestReport {
  const { boot, balanced } = outcome
  return {
    ...testedImage(image),
    raw: { sha256: outcome.rawSha256 },
    manifest: image.manifest !== undefined,
    ...reportBase(emulator, outcome, time),
    boot,
    balanced,
  }
}

/** Makes the report of several images. */
export function makeTogetherReport(
  images: readonly ImageUnderTest[],
  emulator: Emulator,
  outcome: TestOutcome,
  time: TestTime,
): TogetherReport {
  return { images: images.map(testedImage), ...reportBase(emulator, outcome, time) }
}

function testedImage({ name, manifest, qcow2 }: ImageUnderTest) {
  return { image: name, version: manifest?.version ?? null, qcow2: qcow2.split('/').at(-1) ?? '' }
}

function reportBase(emulator: Emulator, { checks, measured }: TestOutcome, time: TestTime): ReportBase {
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

// Longer details are cut in the table; those of failures follow it in full.
const MAXIMUM_DETAIL = 90

/** Formats a report for people: a row per check, failures, and measurements. */
export function describeReport(report: TestReport | TogetherReport): string {
  const rows = report.checks.map(({ group, title, status, detail, ms }) => [
    group,
    title,
    status,
    formatDuration(ms),
    detail.length > MAXIMUM_DETAIL ? `${detail.slice(0, MAXIMUM_DETAIL - 1)}…` : detail,
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
    ...failures.map(({ name, detail }) => oneLine(`${name}: ${detail}`)),
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
    ...(manifest ? [] : ['no manifest beside the image: its digests were not compared']),
  ]
}
