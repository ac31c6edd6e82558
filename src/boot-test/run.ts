import { copyFile, glob, mkdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { writeAtomically } from '../files/atomic-file.ts'
import { loadPlatform } from '../platform/load.ts'
import { UsageError } from '../report/error.ts'
import { findEmulator } from '../vm/emulator.ts'
import type { Contract, TestProgress } from './contract.ts'
import { testEtcd } from './etcd/contract.ts'
import { testHaproxy } from './haproxy/contract.ts'
import type { ImageUnderTest } from './image-under-test.ts'
import { testKubernetes } from './kubernetes/contract.ts'
import { makeReport, makeTogetherReport, type TestReport, type TogetherReport } from './report.ts'
import { testTogether } from './together/contract.ts'
import type { Images } from './together/test-bed.ts'

const contracts: Readonly<Record<keyof Images, Contract>> = {
  haproxy: testHaproxy,
  etcd: testEtcd,
  'kubernetes-node': testKubernetes,
}

/** What is tested: one image by its own contract, or one of each with the others. */
export type TestSubject =
  | { readonly kind: 'image'; readonly image: ImageUnderTest }
  | { readonly kind: 'together'; readonly images: Images }

/**
 * Decides how images are tested.
 * @throws UsageError for an image without a contract, and for several images that are not one of each
 */
export function subjectOf(images: readonly ImageUnderTest[]): TestSubject {
  for (const image of images) contractFor(image)
  const [first] = images
  if (first && images.length === 1) return { kind: 'image', image: first }
  const [haproxy, etcd, node] = (['haproxy', 'etcd', 'kubernetes-node'] as const).map((name) =>
    images.find((image) => image.name === name),
  )
  if (haproxy && etcd && node && images.length === 3) {
    return { kind: 'together', images: { haproxy, etcd, 'kubernetes-node': node } }
  }
  throw new UsageError(`${images.map(({ name }) => name).join(', ')} cannot be tested together`, {
    fix: `name one image, or one of each: ${Object.keys(contracts).join(', ')}`,
  })
}

function contractFor({ name, qcow2 }: ImageUnderTest): Contract {
  const known = Object.keys(contracts).find((image): image is keyof Images => image === name)
  if (known) return contracts[known]
  throw new UsageError(`there is no contract for the image ${name} (${basename(qcow2)})`, {
    fix: `images with a contract: ${Object.keys(contracts).join(', ')}; a file without a manifest is recognised by its name, NAME-VERSION.qcow2`,
  })
}

/** Where the report of a test is written by default. */
export function reportFileOf(subject: TestSubject): string {
  if (subject.kind === 'image') return subject.image.reportFile
  return join(dirname(subject.images.haproxy.reportFile), 'together-report.json')
}

/** The files that a test reads and writes. */
export interface TestPlaces {
  readonly platformFile: string
  /** For disks, drives and logs; the caller removes it. */
  readonly folder: string
  readonly reportFile: string
  /** Keep the console logs even when everything passes. */
  readonly keepLogs: boolean
}

/** A written report, and the folder of the logs if they were kept. */
export interface WrittenReport {
  readonly report: TestReport | TogetherReport
  readonly logs: string | undefined
}

/** Runs a test inside namespaces of its own. Writes the report, and the console logs beside it when a check failed. */
export async function runTest(
  subject: TestSubject,
  { platformFile, folder, reportFile, keepLogs }: TestPlaces,
  progress: TestProgress,
): Promise<WrittenReport> {
  const platform = await loadPlatform(platformFile)
  const [started, began] = [new Date(), performance.now()]
  progress.phase('looking for the emulator, and whether KVM works')
  const emulator = await findEmulator()
  progress.note(
    emulator.accelerator === 'kvm'
      ? `QEMU ${emulator.version} with KVM`
      : `QEMU ${emulator.version} emulates the processor: KVM does not work (${emulator.reason})`,
  )
  const logs = `${reportFile.replace(/\.json$/, '')}.logs`
  await rm(logs, { recursive: true, force: true })
  const setting = { platform, emulator, folder, progress }
  const outcome = await (subject.kind === 'image'
    ? contractFor(subject.image)({ ...setting, image: subject.image })
    : testTogether({ ...setting, images: subject.images })
  ).catch(async (error: unknown) => {
    await copyLogs(folder, logs)
    throw error
  })
  const time = { started, durationMs: performance.now() - began }
  const report =
    subject.kind === 'image'
      ? makeReport(subject.image, emulator, outcome, time)
      : makeTogetherReport(Object.values(subject.images), emulator, outcome, time)
  await mkdir(dirname(reportFile), { recursive: true })
  await writeAtomically(reportFile, `${JSON.stringify(report, null, 2)}\n`, 0o666)
  if (report.passed && !keepLogs) return { report, logs: undefined }
  await copyLogs(folder, logs)
  return { report, logs }
}

/** Copies every clone's logs, CLONE/NAME.log in the folder of a run, to `target`/CLONE-NAME.log. */
async function copyLogs(folder: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true })
  for await (const log of glob('*/*.log', { cwd: folder })) {
    await copyFile(join(folder, log), join(target, log.replace('/', '-')))
  }
}
