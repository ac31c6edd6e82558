import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BundleFile } from '../../../src/build/bundle/format.ts'
import { type Manifest, templateConf } from '../../../src/build/manifest.ts'
import { loadPlatform } from '../../../src/platform/load.ts'
import { makeSmallImage, type SmallImage, writeSums } from '../deploy/image.ts'
import { addEvidence } from '../evidence/folder.ts'
import { checkout } from '../seeder.ts'

/** A build as `build` and `test` leave it, made from this commit, with a green report. */
export async function makeTestedBuild(
  folder: string,
  commit: string | null,
  options: {
    image?: string
    version?: string
    sizeMiB?: number
    evidence?: boolean
    /** What it was built from; with it there is evidence. */
    inputs?: readonly BundleFile[]
    /** sha256 of its lock. */
    lock?: string
  } = {},
): Promise<SmallImage> {
  const made = await makeSmallImage(folder, { sizeMiB: 4, ...options })
  const manifest: Manifest = {
    ...made.manifest,
    source: { commit, dirty: false },
    ...(options.lock !== undefined && { lock: { sha256: options.lock } }),
    // A bill of materials without any package would be none.
    packages: options.evidence ? { haproxy: made.manifest.version } : {},
  }
  const name = `${manifest.image}-${manifest.version}.manifest.json`
  await writeFile(join(folder, name), `${JSON.stringify(manifest, null, 2)}\n`)
  const platform = await loadPlatform(join(checkout, 'platform.yaml'))
  await writeFile(join(folder, 'template.conf'), templateConf(manifest, platform))
  await writeSums(folder, manifest)
  if (options.evidence || options.inputs) await addEvidence(folder, manifest, options.inputs)
  await writeReport(folder, reportOf(manifest))
  return { folder, manifest }
}

/** A report of the form that `test` writes (src/boot-test/report.ts). */
export function reportOf({ image, version, raw, qcow2 }: Manifest) {
  return {
    schema: 1,
    image,
    version,
    qcow2: qcow2.file,
    raw: { sha256: raw.sha256 as string | null },
    manifest: true,
    passed: true,
    started: '2026-11-28T12:00:00.000Z',
    duration: 61_000,
    accelerator: { kind: 'tcg', qemu: '10.0.2', reason: 'there is no /dev/kvm' },
    checks: ['ready', 'balances'].map((check) => ({
      name: check,
      group: 'boot',
      title: check,
      status: 'passed',
      detail: '',
      ms: 1,
    })),
    measured: {},
    boot: { readyMs: 9_000, stages: {}, units: [] },
    balanced: [],
  }
}

export async function writeReport(folder: string, report: object): Promise<void> {
  await writeFile(join(folder, 'test-report.json'), `${JSON.stringify(report, null, 2)}\n`)
}

/** Changes one byte of a file. */
export async function tamper(file: string): Promise<void> {
  const content = await readFile(file)
  content.writeUInt8((content.readUInt8(0) + 1) % 256, 0)
  await writeFile(file, content)
}
