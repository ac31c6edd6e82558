import { copyFile, glob, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { loadPlatform } from '../platform/load.ts'
import { UsageError } from '../report/error.ts'
import { type Emulator, findEmulator } from '../vm/accelerator.ts'
import type { Contract, TestOutcome, TestProgress, TestSetting } from './contract.ts'
import { etcdContract } from './etcd/contract.ts'
import { haproxyContract } from './haproxy/contract.ts'
import type { ImageUnderTest } from './image-under-test.ts'
import { kubernetesContract } from './kubernetes/contract.ts'
import {
  makeReport,
  makeTogetherReport,
  type TestReport,
  type TestTime,
  type TogetherReport,
} from './report.ts'
import { testTogether } from './together/contract.ts'
import type { Images } from './together/test-bed.ts'

const contracts: Readonly<Record<keyof Images, Contract>> = {
  haproxy: haproxyContract,
  etcd: etcdContract,
  'kubernetes-node': kubernetesContract,
}

/** What is to be proven: one image by its own contract, or one of each with the others. */
export type TestSubject =
  | { readonly kind: 'image'; readonly candidate: ImageUnderTest }
  | { readonly kind: 'together'; readonly images: Images }

/**
 * What a command was pointed at.
 * @throws UsageError for an image without a contract, and for several that are not one of each
 */
export function subjectOf(candidates: readonly ImageUnderTest[]): TestSubject {
  for (const candidate of candidates) contractFor(candidate)
  const [first] = candidates
  if (first && candidates.length === 1) return { kind: 'image', candidate: first }
  const by = (image: keyof Images) => candidates.filter((one) => one.image === image)
  const [[haproxy, ...balancers], [etcd, ...members], [node, ...nodes]] = [
    by('haproxy'),
    by('etcd'),
    by('kubernetes-node'),
  ]
  if (haproxy && etcd && node && [...balancers, ...members, ...nodes].length === 0) {
    return { kind: 'together', images: { haproxy, etcd, 'kubernetes-node': node } }
  }
  throw new UsageError(`${candidates.map(({ image }) => image).join(', ')} are no proof together`, {
    fix: `name one image, or one of each: ${Object.keys(contracts).join(', ')}`,
  })
}

function contractFor({ image, qcow2 }: ImageUnderTest): Contract {
  const name = Object.keys(contracts).find((one): one is keyof Images => one === image)
  if (name) return contracts[name]
  throw new UsageError(`there is no contract for the image ${image} (${basename(qcow2)})`, {
    fix: `images with a contract: ${Object.keys(contracts).join(', ')}; a file without a manifest is recognised by its name, NAME-VERSION.qcow2`,
  })
}

/** Where the report of a proof goes unless another place is asked for. */
export function reportFileOf(subject: TestSubject): string {
  if (subject.kind === 'image') return subject.candidate.reportFile
  return join(dirname(subject.images.haproxy.reportFile), 'together-report.json')
}

/** Where a proof works and what it leaves behind. */
export interface TestPlaces {
  readonly platformFile: string
  /** Removed by the caller. */
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

/**
 * Proves a subject, in namespaces of its own, and writes the report, and beside it the console logs when something
 * failed.
 */
export async function runTest(
  subject: TestSubject,
  places: TestPlaces,
  progress: TestProgress,
): Promise<WrittenReport> {
  const platform = await loadPlatform(places.platformFile)
  const [started, began] = [new Date(), performance.now()]
  progress.phase('looking for the emulator, and whether KVM works')
  const emulator = await findEmulator()
  progress.note(
    emulator.accelerator === 'kvm'
      ? `QEMU ${emulator.version} with KVM`
      : `QEMU ${emulator.version} emulates the processor: KVM does not work (${emulator.reason})`,
  )
  const logFolder = `${places.reportFile.replace(/\.json$/, '')}.logs`
  await rm(logFolder, { recursive: true, force: true })
  const outcome = await play(subject, { platform, emulator, folder: places.folder, progress }).catch(
    async (error: unknown) => {
      await keepLogs(places.folder, logFolder)
      throw error
    },
  )
  const report = reportOn(subject, emulator, outcome, { started, durationMs: performance.now() - began })
  await writeReport(report, places.reportFile)
  if (report.passed && !places.keepLogs) return { report, logs: undefined }
  await keepLogs(places.folder, logFolder)
  return { report, logs: logFolder }
}

async function play(subject: TestSubject, ground: TestSetting): Promise<TestOutcome> {
  if (subject.kind === 'together') return testTogether({ ...ground, images: subject.images })
  const { candidate } = subject
  return contractFor(candidate).run({ ...ground, candidate })
}

function reportOn(
  subject: TestSubject,
  emulator: Emulator,
  outcome: TestOutcome,
  time: TestTime,
): TestReport | TogetherReport {
  return subject.kind === 'image'
    ? makeReport(subject.candidate, emulator, outcome, time)
    : makeTogetherReport(Object.values(subject.images), emulator, outcome, time)
}

/** Copies every clone's logs, CLONE/NAME.log in the folder of a run, to `target`/CLONE-NAME.log. */
async function keepLogs(folder: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true })
  for await (const log of glob('*/*.log', { cwd: folder })) {
    await copyFile(join(folder, log), join(target, log.replace('/', '-')))
  }
}

async function writeReport(report: TestReport | TogetherReport, file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(`${file}.part`, `${JSON.stringify(report, null, 2)}\n`)
  await rename(`${file}.part`, file)
}
