import { copyFile, glob, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { loadPlatform } from '../platform/load.ts'
import { UsageError } from '../report/error.ts'
import { findEmulator } from './accelerator.ts'
import type { Candidate } from './candidate.ts'
import type { Contract, ProofProgress } from './contract.ts'
import { haproxyContract } from './haproxy/contract.ts'
import { makeReport, type TestReport } from './report.ts'

const contracts: Readonly<Record<string, Contract>> = { haproxy: haproxyContract }

/**
 * The contract an image has to fulfil.
 * @throws UsageError for an image that has none
 */
export function contractFor({ image, qcow2 }: Candidate): Contract {
  const contract = contracts[image]
  if (contract) return contract
  throw new UsageError(`there is no contract for the image ${image} (${basename(qcow2)})`, {
    fix: `images with a contract: ${Object.keys(contracts).join(', ')}; a file without a manifest is recognised by its name, NAME-VERSION.qcow2`,
  })
}

/** Where a proof works and what it leaves behind. */
export interface ProofPlaces {
  readonly platformFile: string
  /** Removed by the caller. */
  readonly folder: string
  readonly reportFile: string
  /** Keep the console logs even when everything passes. */
  readonly keepLogs: boolean
}

/**
 * Proves a candidate, in namespaces of its own, and writes the report, and beside it the console logs when something
 * failed.
 * @returns the report, and the folder of the logs if they were kept
 */
export async function proveCandidate(
  candidate: Candidate,
  places: ProofPlaces,
  progress: ProofProgress,
): Promise<{ report: TestReport; logs: string | undefined }> {
  const contract = contractFor(candidate)
  const platform = await loadPlatform(places.platformFile)
  const [started, began] = [new Date(), performance.now()]
  progress.phase('looking for the emulator, and whether KVM works')
  const emulator = await findEmulator()
  progress.note(
    emulator.accelerator === 'kvm'
      ? `QEMU ${emulator.version} with KVM`
      : `QEMU ${emulator.version} emulates the processor: KVM does not work (${emulator.reason})`,
  )
  const proof = { candidate, platform, emulator, folder: places.folder, progress }
  const logFolder = `${places.reportFile.replace(/\.json$/, '')}.logs`
  await rm(logFolder, { recursive: true, force: true })
  const outcome = await contract.prove(proof).catch(async (error: unknown) => {
    await keepLogs(places.folder, logFolder)
    throw error
  })
  const report = makeReport(candidate, emulator, outcome, {
    started,
    durationMs: performance.now() - began,
  })
  await writeReport(report, places.reportFile)
  if (report.passed && !places.keepLogs) return { report, logs: undefined }
  await keepLogs(places.folder, logFolder)
  return { report, logs: logFolder }
}

/** Copies every clone's logs, CLONE/NAME.log in the folder of a run, to `target`/CLONE-NAME.log. */
async function keepLogs(folder: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true })
  for await (const log of glob('*/*.log', { cwd: folder })) {
    await copyFile(join(folder, log), join(target, log.replace('/', '-')))
  }
}

async function writeReport(report: TestReport, file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(`${file}.part`, `${JSON.stringify(report, null, 2)}\n`)
  await rename(`${file}.part`, file)
}
