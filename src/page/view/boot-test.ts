import type { Manifest } from '../../build/manifest.ts'
import { type RecordedCheck, type TestRecord, tallyOf } from '../../release/format/test-report.ts'
import { formatDuration } from '../../report/table.ts'
import type { Answer } from './mark.ts'
import { formatTime } from './time.ts'

/** The result of the image's boot test. */
export interface BootTest {
  readonly answer: Answer
  /** In their order; empty when there is no report of this disk. */
  readonly groups: readonly { readonly title: string; readonly checks: readonly RecordedCheck[] }[]
  /** Other measurements: name and duration. */
  readonly measured: readonly (readonly [string, string])[]
  /** The record, when it is one of this disk. */
  readonly record: TestRecord | undefined
}

/** The headings of the groups of checks in a test report. */
const groupTitles: Readonly<Record<string, string>> = {
  image: 'Every image',
  artifact: 'The image file after the test',
  role: 'The role',
  pair: 'Two nodes together',
  cluster: 'A cluster',
  network: 'Network',
  runtime: 'Containers',
}

/** The boot test of the disk of a manifest, as its test report has it. */
export function bootTestOf(manifest: Manifest, record: TestRecord | undefined): BootTest {
  const noRecord = { groups: [], measured: [], record: undefined }
  if (record === undefined) {
    const reason = 'There is no test-report.json. `seeder test` boots clones of the image and writes one.'
    return { answer: answerOf('missing', 'Not tested', reason), ...noRecord }
  }
  const { image, version, raw, checks } = record
  if (
    image !== manifest.image ||
    version !== manifest.version ||
    (raw.sha256 ?? manifest.raw.sha256) !== manifest.raw.sha256
  ) {
    const reason = `The test-report.json in the folder is about another disk, of ${image} ${version ?? 'without a version'}.`
    return { answer: answerOf('wrong', 'Not tested', reason), ...noRecord }
  }
  return {
    answer: outcomeOf(record),
    groups: [...new Set(checks.map(({ group }) => group))].map((group) => ({
      title: groupTitles[group ?? ''] ?? group ?? 'Checks',
      checks: checks.filter((check) => check.group === group),
    })),
    measured: Object.entries(record.measured ?? {}).map(
      ([name, ms]) => [name.replace(/Ms$/, ''), formatDuration(ms)] as const,
    ),
    record,
  }
}

function outcomeOf(record: TestRecord): Answer {
  const { passed, failed, skipped } = tallyOf(record)
  const total = record.checks.length
  const environment = describeEnvironment(record)
  if (failed > 0 || !record.passed)
    return answerOf('wrong', `Failed: ${failed} of ${total} checks`, environment)
  if (passed === 0) return answerOf('wrong', 'Nothing was checked', environment)
  const rest = skipped > 0 ? `, ${skipped} skipped` : ''
  const text = `Passed: ${passed} of ${total} checks${rest}`
  if (record.raw.sha256 !== null) return answerOf('right', text, environment)
  return answerOf('open', text, `The report does not say of which disk. ${environment}`)
}

function describeEnvironment({ accelerator, started, duration, boot }: TestRecord): string {
  const qemu = accelerator.qemu === undefined ? '' : ` ${accelerator.qemu}`
  const machine = accelerator.kind === 'kvm' ? `QEMU${qemu} with KVM` : `QEMU${qemu}, emulated`
  const when = started === undefined ? '' : `, ${formatTime(started)}`
  const ready =
    boot.readyMs === null ? '' : ` First boot done after ${unbroken(formatDuration(boot.readyMs))}.`
  return `Booted in ${machine}${when}, in ${unbroken(formatDuration(duration))}.${ready}`
}

/** Keeps a number and its unit on one line. */
function unbroken(text: string): string {
  return text.replaceAll(' ', '\u00a0')
}

function answerOf(mark: Answer['mark'], text: string, reason: string): Answer {
  return { question: 'Tested', mark, text, reason }
}
