import type { Change, Difference } from '../../release/difference/difference.ts'
import type { FilesDifference } from '../../release/difference/files-difference.ts'
import { formatBytes, formatDuration } from '../../report/table.ts'
import type { OlderVersion } from '../facts.ts'
import type { Answer } from './mark.ts'

/** A number before and now. */
export interface Amount {
  readonly name: string
  readonly before: string
  readonly after: string
  /** `+3.1 MB, +1.2 %`; undefined when it is the same. */
  readonly change: string | undefined
}

/** Names of which only the first are told, and how many there are. */
export interface NameList {
  readonly title: string
  readonly names: readonly string[]
  readonly total: number
}

/** What is different from an older version. */
export interface VersionChanges {
  readonly answer: Answer
  /** Everything below is of a comparison that was made; undefined when there was none, or the disks are the same. */
  readonly found: FoundChanges | undefined
}

export interface FoundChanges {
  readonly before: string
  readonly after: string
  readonly amounts: readonly Amount[]
  readonly packages: readonly PackageChange[]
  /** What an operator looks for first: checks, ports, units. */
  readonly lists: readonly NameList[]
  readonly commandLine: { readonly before: string; readonly after: string } | undefined
  /** Undefined when the files of either are not known. */
  readonly files: readonly NameList[] | undefined
}

export interface PackageChange {
  readonly name: string
  readonly before: string | undefined
  readonly after: string | undefined
  /** What the package's own changelog says, where it is known. */
  readonly changelog: string | undefined
}

/** So many files of each kind are named. */
const NAMED = 250
/** So many folders, those that changed most. */
const FOLDERS = 12

/** What changed since the version that an image was compared with. */
export function changesOf(comparison: OlderVersion | undefined): VersionChanges {
  if (comparison === undefined) {
    const because = 'It was compared with no other version: `--against` names one.'
    return { answer: { question: 'Changed', mark: 'open', words: 'Not compared', because }, found: undefined }
  }
  const { difference, promoted } = comparison
  const older = `${promoted ? 'the promoted version' : 'version'} ${difference.before}`
  if (difference.identical) {
    const because = `The disk is that of ${older}, bit for bit.`
    return { answer: { question: 'Changed', mark: 'right', words: 'Nothing', because }, found: undefined }
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
  const told = counts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : []))
  const words = told.length === 0 ? 'The same packages' : `Packages: ${told.join(', ')}`
  const broken = checks?.broken.length ?? 0
  const inFiles = files && files.added.length + files.removed.length + files.changed.length
  const because = [
    `Since ${older}`,
    ...(inFiles === undefined ? [] : [`${inFiles} files differ`]),
    ...(ports.opened.length > 0 ? [`opens ${ports.opened.join(', ')}`] : []),
    `/usr ${changeOf(sizes.usr, formatBytes) ?? 'has the same size'}`,
    ...(broken > 0 ? [`${broken} checks do not pass any more`] : []),
  ]
  return {
    question: 'Changed',
    mark: broken > 0 ? 'wrong' : 'differs',
    words,
    because: `${because.join('; ')}.`,
  }
}

function foundOf({ difference, changelogs }: OlderVersion): FoundChanges {
  const { sizes, boot, checks, changed, added, removed, files, commandLine } = difference
  const told = new Map(changelogs.map(({ name, text }) => [name, text]))
  const amount = (name: string, change: Change, format: (amount: number) => string): Amount => ({
    ...{ name, before: format(change.before), after: format(change.after), change: changeOf(change, format) },
  })
  return {
    ...{ before: difference.before, after: difference.after, commandLine },
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
      ...changed.map((one) => ({ ...one, changelog: told.get(one.name) })),
      ...added.map(({ name, version }) => ({
        name,
        before: undefined,
        after: version,
        changelog: undefined,
      })),
      ...removed.map(({ name, version }) => ({
        ...{ name, before: version, after: undefined, changelog: undefined },
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
  return { title, names: names.slice(0, NAMED), total: names.length }
}

function changeOf({ before, after }: Change, format: (amount: number) => string): string | undefined {
  if (before === after) return undefined
  const sign = after > before ? '+' : '−'
  const percent = before === 0 ? 0 : Math.round((Math.abs(after - before) / before) * 1000) / 10
  return `${sign}${format(Math.abs(after - before))}${percent === 0 ? '' : `, ${sign}${percent} %`}`
}
