import { bundleName } from '../../build/bundle/format.ts'
import type { Manifest } from '../../build/manifest.ts'
import { SIGNATURE_FILE, SUMS_FILE } from '../../build/sums.ts'
import { formatBytes } from '../../report/table.ts'
import type { Contents } from '../format/contents.ts'
import { formatTag } from '../format/tag.ts'
import type { TestRecord } from '../format/test-report.ts'
import { countChecks } from '../format/test-report.ts'

/** In the body of every release that Seeder makes: drafts without it are not touched. */
export const OURS_MARKER = '<!-- seeder: release -->'

/** The facts in the notes of a release. */
export interface NotesFacts {
  /** `owner/name`. */
  readonly repository: string
  readonly manifest: Manifest
  readonly report: TestRecord
  readonly contents: Contents
  readonly commit: string
  /** Who signed it, if that is known. */
  readonly signer: string | undefined
}

export function releaseTitle({ image, version }: Manifest): string {
  return `${image} ${version}`
}

/** The body of a release, in Markdown. */
export function releaseNotes(facts: NotesFacts): string {
  const { manifest, report, contents, commit } = facts
  const disk = contents.files.find(({ name }) => name === manifest.qcow2.file)
  const parts = disk?.parts ?? []
  const rows = [
    ['Disk (raw) sha256', `\`${manifest.raw.sha256}\``],
    ['Image (qcow2) sha256', `\`${manifest.qcow2.sha256}\``],
    ['`/usr` root hash', `\`${manifest.usr.roothash}\``],
    ['Size', `${formatBytes(manifest.qcow2.size)}, as a disk ${formatBytes(manifest.raw.size)}`],
    ['Roles', manifest.roles.join(', ')],
    ['Base, kernel', `${manifest.base}, ${manifest.kernel.version}`],
    ['Source', `${commit}${manifest.source.dirty ? ', with changes that were not committed' : ''}`],
    ['Lock sha256', `\`${manifest.lock.sha256}\``],
    ...(contents.bundleFile ? [['Bundle', formatBytes(contents.bundleFile.size)]] : []),
    ['Test', `${countChecks(report)} (${report.accelerator.kind.toUpperCase()})`],
  ]
  return [
    manifest.description,
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${name} | ${value} |`),
    '',
    '**Deploy** it on a Proxmox VE host:',
    '',
    ...block([`seeder deploy ${manifest.image} ${manifest.version}`]),
    '',
    ...rebuild(contents),
    '**Verify** it by hand:',
    '',
    ...block(verifyCommands(facts, parts.length > 1)),
    OURS_MARKER,
    '',
  ].join('\n')
}

function rebuild(contents: Contents): string[] {
  if (!contents.bundleFile) return []
  const tag = formatTag(contents)
  const commands = [
    `seeder bundle ${tag} --out ${bundleName(contents)}`,
    `seeder build --from-bundle ${bundleName(contents)} --out DIR`,
  ]
  return ['**Build** it again, from nothing but its files:', '', ...block(commands), '']
}

function verifyCommands({ repository, manifest, contents, signer }: NotesFacts, inParts: boolean): string[] {
  const signed = contents.files.some(({ name }) => name === SIGNATURE_FILE)
  const file = manifest.qcow2.file
  return [
    `gh release download ${formatTag(manifest)} --repo ${repository}`,
    ...(inParts ? [`cat ${file}.part-* > ${file}`] : []),
    ...(signed
      ? [
          `ssh-keygen -Y verify -f allowed_signers -I ${signer ?? 'SIGNER'} -n seeder -s ${SIGNATURE_FILE} < ${SUMS_FILE}`,
        ]
      : []),
    `sha256sum --check ${SUMS_FILE}`,
  ]
}

function block(lines: readonly string[]): string[] {
  return ['```sh', ...lines, '```']
}
