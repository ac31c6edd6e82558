import type { Manifest } from '../../build/manifest.ts'
import { type RecordedCheck, type TestRecord, tallyOf } from '../../release/format/test-report.ts'
import { formatDuration } from '../../report/table.ts'
import type { Answer } from './mark.ts'
import { shownTime } from './time.ts'

/** How the image's proof came out. */
export interface BootTest {
  readonly answer: Answer
  /** In their order; none when there is no report of this disk. */
  readonly groups: readonly { readonly title: string; readonly checks: readonly RecordedCheck[] }[]
  /** What else was measured: name and duration. */
  readonly measured: readonly (readonly [string, string])[]
  /** The record, when it is one of this disk. */
  readonly record: TestRecord | undefined
}

/** The groups of checks, by the names that the proof has for them. */
const GROUPS: Readonly<Record<string, string>> = {
  image: 'What any image has to do',
  artifact: 'Its files, after all of this',
  role: 'Its role',
  pair: 'Two of them together',
  cluster: 'A cluster of them',
  network: 'Network',
  runtime: 'Containers',
}

/** What a test report proves about the disk of a manifest. */
export function bootTestOf(manifest: Manifest, record: TestRecord | undefined): BootTest {
  const none = { groups: [], measured: [], record: undefined }
  if (record === undefined) {
    const because = 'There is no test-report.json. `seeder test` boots clones of the image and writes one.'
    return { answer: answer('missing', 'Not tested', because), ...none }
  }
  const { image, version, raw, checks } = record
  if (
    image !== manifest.image ||
    version !== manifest.version ||
    (raw.sha256 ?? manifest.raw.sha256) !== manifest.raw.sha256
  ) {
    const because = `The test-report.json in the folder is about another disk, of ${image} ${version ?? 'without a version'}.`
    return { answer: answer('wrong', 'Not tested', because), ...none }
  }
  return {
    answer: outcomeOf(record),
    groups: [...new Set(checks.map(({ group }) => group))].map((group) => ({
      title: GROUPS[group ?? ''] ?? group ?? 'Checks',
      checks: checks.filter((one) => one.group === group),
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
  const how = howOf(record)
  if (failed > 0 || !record.passed) return answer('wrong', `Failed: ${failed} of ${total} checks`, how)
  if (passed === 0) return answer('wrong', 'Nothing was checked', how)
  const rest = skipped > 0 ? `, ${skipped} skipped` : ''
  const words = `Passed: ${passed} of ${total} checks${rest}`
  if (record.raw.sha256 !== null) return answer('right', words, how)
  return answer('open', words, `The report does not say of which disk. ${how}`)
}

function howOf({ accelerator, started, duration, boot }: TestRecord): string {
  const qemu = accelerator.qemu === undefined ? '' : ` ${accelerator.qemu}`
  const machine = accelerator.kind === 'kvm' ? `QEMU${qemu} with KVM` : `QEMU${qemu}, emulated`
  const when = started === undefined ? '' : `, ${shownTime(started)}`
  const ready = boot.readyMs === null ? '' : ` First boot done after ${inOne(formatDuration(boot.readyMs))}.`
  return `Booted in ${machine}${when}, in ${inOne(formatDuration(duration))}.${ready}`
}

/** A number and its unit, which no line parts. */
function inOne(text: string): string {
  return text.replaceAll(' ', '\u00a0')
}

function answer(mark: Answer['mark'], words: string, because: string): Answer {
  return { question: 'Proven', mark, words, because }
}
