import { z } from 'zod'
import { manifestSchema } from '../build/manifest.ts'
import { differenceOf } from '../release/difference/difference.ts'
import { describeDifference, describeTally } from '../release/difference/difference-markdown.ts'
import { filesDifferenceSchema } from '../release/difference/files-difference.ts'
import { tallyOf, testRecordSchema } from '../release/format/test-report.ts'
import { code, plain, table } from '../report/markdown.ts'
import { formatBytes, formatDuration } from '../report/table.ts'
import { knownSchema } from '../scan/known.ts'
import { describeKnown, describeShortly } from '../scan/known-markdown.ts'

/** Marks the comment, so that a later run finds it. */
export const COMMENT_MARKER = '<!-- seeder: images of this pull request -->'

const finished = z.object({ manifest: manifestSchema, record: testRecordSchema.optional() })

/** A row of the comment, from the job that tested an image to the job that comments: `comment-IMAGE.json`. */
export const commentEntrySchema = z.object({
  schema: z.literal(1),
  ...finished.shape,
  /** The promoted version; null when there is none. */
  promoted: finished.nullable(),
  /** The differences from the files of the promoted version; null when either list is missing. */
  files: filesDifferenceSchema.nullable(),
  /** Of the image, compared with the promoted version. */
  vulnerabilities: knownSchema,
  /** The URL of the artifact with the qcow2 file. */
  artifact: z.url({ protocol: /^https?$/ }).nullable(),
  /** The URL of the artifact with the report; older versions of Seeder do not write it. */
  page: z.url({ protocol: /^https?$/ }).optional(),
})
export type CommentEntry = z.output<typeof commentEntrySchema>

/** The name of the artifact and, with .json, of the file in it. */
export function commentName(image: string): string {
  return `comment-${image}`
}

/** The run that writes the comment. */
export interface CommentOrigin {
  /** The images that the run builds; an image without an entry was not finished. */
  readonly expected: readonly string[]
  readonly commit: string
  /** The URL of the run. */
  readonly run: string
}

/** The comment of a pull request, without its marker. */
export function describePullRequest(entries: readonly CommentEntry[], origin: CommentOrigin): string {
  const sorted = entries.toSorted((left, right) => (left.manifest.image < right.manifest.image ? -1 : 1))
  const missing = origin.expected.filter((image) => !sorted.some(({ manifest }) => manifest.image === image))
  const foot = `<sub>${code(origin.commit.slice(0, 12))}, [the run](${encodeURI(origin.run)})</sub>`
  if (sorted.length === 0 && missing.length === 0) {
    return `This pull request changes no image.\n\n${foot}\n`
  }
  const rows = [
    ...sorted.map(rowOf),
    ...missing.map((image) => [plain(image), '', '✗ **not finished**, see the run', '', '', '']),
  ]
  return [
    '### Images of this pull request',
    table(['image', 'version', 'checks', 'known vulnerabilities', 'qcow2', 'first boot'], rows),
    ...sorted.map(sectionOf),
    `${foot}\n`,
  ].join('\n\n')
}

function rowOf({ manifest, record, artifact, vulnerabilities }: CommentEntry): string[] {
  const { image, version, qcow2 } = manifest
  const mark = record?.passed ? '✓' : '✗'
  const ready = record?.boot.readyMs ?? null
  const size = formatBytes(qcow2.size)
  return [
    plain(image),
    code(version),
    record === undefined ? 'not tested' : `${mark} ${describeTally(tallyOf(record))}`,
    describeShortly(vulnerabilities),
    artifact === null ? size : `[${size}](${encodeURI(artifact)})`,
    ready === null
      ? ''
      : `${formatDuration(ready)}${record?.accelerator.kind === 'tcg' ? ' (emulated)' : ''}`,
  ]
}

function sectionOf(entry: CommentEntry): string {
  const { manifest, record, promoted, files, vulnerabilities, page } = entry
  const failed = (record?.checks ?? []).filter(({ status }) => status === 'failed')
  return [
    `#### ${plain(manifest.image)} ${plain(manifest.version)}`,
    ...failed.map(({ name, detail }) => `- ✗ ${code(name)}: ${plain(detail)}`),
    promoted === null
      ? 'No version of it is promoted yet.'
      : describeDifference(
          { ...differenceOf(promoted, { manifest, record }), files: files ?? undefined },
          'promoted',
        ),
    `##### Known vulnerabilities of ${plain(manifest.image)}\n\n${describeKnown(vulnerabilities, 'promoted')}`,
    ...(page === undefined
      ? []
      : [`[Report](${encodeURI(page)}): boot test, size, first boot, packages, changes`]),
    `disk ${code(manifest.raw.sha256)}`,
  ].join('\n\n')
}
