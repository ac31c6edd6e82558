import type { Change, Difference } from '../../release/difference/difference.ts'
import type { FilesDifference } from '../../release/difference/files-difference.ts'
import { formatBytes, formatDuration } from '../../report/table.ts'
import type { OlderVersion } from '../facts.ts'
import type { Answer } from './mark.ts'

/** A number in both versions. */
export interface Amount {
  readonly name: string
  readonly before: string
  readonly after: string
  /** `+3.1 MB, +1.2 %`; undefined when it is the same. */
  readonly change: string | undefined
}

/** The first names of a list, and the number of all. */
export interface NameList {
  readonly title: string
  readonly names: readonly string[]
  readonly total: number
}

/** The differences from an older version. */
export interface VersionChanges {
  readonly answer: Answer
  /** Undefined without a comparison, or when the disks are the same. */
  readonly found: FoundChanges | undefined
}

export interface FoundChanges {
  readonly before: string
  readonly after: string
  readonly amounts: readonly Amount[]
  readonly packages: readonly PackageChange[]
  /** Checks, ports and units. */
  readonly lists: readonly NameList[]
  readonly commandLine: { readonly before: string; readonly after: string } | undefined
  /** Undefined when the files of either are not known. */
  readonly files: readonly NameList[] | undefined
}

export interface PackageChange {
  readonly name: string
  readonly before: string | undefined
  readonly after: string | undefined
  /** From the package's own changelog, where it is known. */
  readonly changelog: string | undefined
}

/** The maximum number of names in a list. */
const LISTED = 250
/** The maximum number of folders: those that changed most. */
const FOLDERS = 12

/** The changes since the version that an image was compared with. */
export function changesOf(comparison: OlderVersion | undefined): VersionChanges {
  if (comparison === undefined) {
    const reason = 'There is no comparison with another version: `--against` names one.'
    return { answer: { question: 'Changed', mark: 'open', text: 'Not compared', reason }, found: undefined }
  }
  const { difference, promoted } = comparison
  const older = `${promoted ? 'the promoted version' : 'version'} ${difference.before}`
  if (difference.identical) {
    const reason = `The disk is that of ${older}, bit for bit.`
    return { answer: { question: 'Changed', mark: 'right', text: 'Nothing', reason }, found: undefined }
  }
  return { answer: summaryOf(difference, older), found: foundOf(comparison) }
}

function summaryOf(difference: Difference, older: string): Answer {
  const { changed, added, removed, files, ports, checks, sizes } = difference
  const counts = [
    [changed.length, 'changed'],
    [added.length, 'new'],
    [removed.length, 'gone'],
  ] as const
  const packages = counts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : []))
  const broken = checks?.broken.length ?? 0
  const reasons = [
    `Since ${older}`,
    ...(files ? [`${files.added.length + files.removed.length + files.changed.length} files differ`] : []),
    ...(ports.opened.length > 0 ? [`opens ${ports.opened.join(', ')}`] : []),
    `/usr ${changeOf(sizes.usr, formatBytes) ?? 'has the same size'}`,
    ...(broken > 0 ? [`${broken} checks do not pass any more`] : []),
  ]
  return {
    question: 'Changed',
    mark: broken > 0 ? 'wrong' : 'differs',
    text: packages.length === 0 ? 'The same packages' : `Packages: ${packages.join(', ')}`,
    reason: `${reasons.join('; ')}.`,
  }
}

function foundOf({ difference, changelogs }: OlderVersion): FoundChanges {
  const { sizes, boot, checks, changed, added, removed, files, commandLine } = difference
  const changelogOf = new Map(changelogs.map(({ name, text }) => [name, text]))
  const amount = (name: string, change: Change, format: (amount: number) => string): Amount => ({
    name,
    before: format(change.before),
    after: format(change.after),
    change: changeOf(change, format),
  })
  return {
    before: difference.before,
    after: difference.after,
    commandLine,
    amounts: [
      amount('qcow2', sizes.qcow2, formatBytes),
      amount('disk', sizes.disk, formatBytes),
      amount('/usr', sizes.usr, formatBytes),
      ...(boot ? [amount('first boot', boot, formatDuration)] : []),
      ...(checks
        ? [
            amount(
              'checks passed',
              { before: checks.before.passed, after: checks.after.passed },
              (count) => `${count}`,
            ),
          ]
        : []),
      ...(files?.folders.slice(0, FOLDERS).map(({ path, ...change }) => amount(path, change, formatBytes)) ??
        []),
    ],
    packages: [
      ...changed.map((change) => ({ ...change, changelog: changelogOf.get(change.name) })),
      ...added.map(({ name, version: after }) => ({ name, before: undefined, after, changelog: undefined })),
      ...removed.map(({ name, version: before }) => ({
        name,
        before,
        after: undefined,
        changelog: undefined,
      })),
    ],
    lists: listsOf(difference).filter(({ total }) => total > 0),
    files: files && filesOf(files),
  }
}

function listsOf({ checks, ports, files }: Difference): NameList[] {
  return [
    list('Checks that do not pass any more', checks?.broken),
    list('Checks that pass now', checks?.mended),
    list('Checks that are new', checks?.added),
    list('Checks that are gone', checks?.removed),
    list('Ports that it opens', ports.opened),
    list('Ports that it closes', ports.closed),
    list('Units enabled', files?.units.enabled),
    list('Units not enabled any more', files?.units.disabled),
    list('Units masked', files?.units.masked),
    list('Units not masked any more', files?.units.unmasked),
  ]
}

function filesOf({ changed, added, removed }: FilesDifference): NameList[] {
  return [
    list(
      'Files changed',
      changed.map(({ path, what }) => `${path} (${what.join(', ')})`),
    ),
    list('Files added', added),
    list('Files removed', removed),
  ].filter(({ total }) => total > 0)
}

function list(title: string, names: readonly string[] = []): NameList {
  return { title, names: names.slice(0, LISTED), total: names.length }
}

function changeOf({ before, after }: Change, format: (amount: number) => string): string | undefined {
  if (before === after) return undefined
  const sign = after > before ? '+' : '−'
  const percent = before === 0 ? 0 : Math.round((Math.abs(after - before) / before) * 1000) / 10
  return `${sign}${format(Math.abs(after - before))}${percent === 0 ? '' : `, ${sign}${percent} %`}`
}
