/**
 * `npm run table -- DIR...`: writes the table of images into README.md, between its two markers, from the manifests of
 * finished builds and their test reports.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '../src/build/manifest.ts'
import { readOutput } from '../src/build/output.ts'
import { type Image, loadImage } from '../src/image/definition.ts'
import { upstreamVersion } from '../src/image/resolve.ts'
import { type TestRecord, testRecordSchema } from '../src/release/format/test-report.ts'
import { formatBytes } from '../src/report/table.ts'

const checkout = join(import.meta.dirname, '..')
type Report = Pick<TestRecord, 'passed' | 'raw' | 'accelerator' | 'boot'>

/** The main components of an image: the package of its version, its tarballs, its requirements, and the kernel. */
export function components(image: Image, manifest: Manifest): [name: string, version: string][] {
  const named = [
    ...('package' in image.version ? [image.version.package] : []),
    ...image.repositories.flatMap(({ packages }) => packages),
    ...Object.keys(image.requires),
  ]
  const packages = [...new Set(named)].flatMap((name): [string, string][] => {
    const version = manifest.packages[name]
    return version === undefined ? [] : [[name, upstreamVersion(version)]]
  })
  const artifacts = Object.entries(manifest.artifacts).map(([name, { version }]): [string, string] => [
    name,
    version,
  ])
  return [...artifacts, ...packages, ['linux', manifest.kernel.version]]
}

/** A row of the table. A failed test counts like a missing report. */
export function row(image: Image, manifest: Manifest, report: Report | undefined): string {
  const parts = components(image, manifest).map(([name, version]) => `${name} ${version}`)
  const ready = report?.passed ? report.boot.readyMs : undefined
  const boot =
    ready === null || ready === undefined
      ? 'not tested'
      : `${Math.round(ready / 1000)} s (${report?.accelerator.kind === 'kvm' ? 'KVM' : 'emulated'})`
  const cells = [`\`${manifest.image}\` ${manifest.version}`, manifest.base, parts.join(', ')]
  return `| ${[...cells, formatBytes(manifest.qcow2.size), boot].join(' | ')} |`
}

const begin = '<!-- images: npm run table -- DIR... -->'
const end = '<!-- images end -->'

/** @returns the text with the table of `rows` between its markers */
export function withTable(text: string, rows: readonly string[]): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`there is no ${begin} … ${end} to write the table to`)
  const head = ['| image | base | components | qcow2 | first boot |', '|---|---|---|---|---|']
  return `${text.slice(0, from)}${begin}\n${[...head, ...rows].join('\n')}\n${text.slice(to)}`
}

async function rowOf(folder: string): Promise<string> {
  const { manifest, damaged } = await readOutput(folder)
  if (damaged.length > 0) throw new Error(`${folder}: ${damaged.join(', ')} differs from SHA256SUMS`)
  const report = await readFile(join(folder, 'test-report.json'), 'utf8').then(
    (text) => testRecordSchema.parse(JSON.parse(text)),
    () => undefined,
  )
  // The folder may have the report of an earlier build.
  const own = report?.raw.sha256 === manifest.raw.sha256 ? report : undefined
  return row(await loadImage(checkout, manifest.image), manifest, own)
}

if (import.meta.main) {
  const folders = process.argv.slice(2)
  if (folders.length === 0) {
    console.error('Usage: npm run table -- DIR... (folders of finished builds)')
    process.exit(2)
  }
  const readme = join(checkout, 'README.md')
  const rows = await Promise.all(folders.map(rowOf))
  await writeFile(readme, withTable(await readFile(readme, 'utf8'), rows))
}
