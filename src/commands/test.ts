import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { findCandidate } from '../boot/candidate.ts'
import type { ProofProgress } from '../boot/contract.ts'
import { requireTun } from '../boot/lan.ts'
import { endWithParent, requireNamespaces, runInNamespaces } from '../boot/namespace.ts'
import { prove, reportFileOf, type Subject, subjectOf } from '../boot/prove.ts'
import { describeReport } from '../boot/report.ts'
import { makeRunFolder } from '../run-folder.ts'

/** What the command needs from the program it is part of. */
export interface TestContext {
  /** The project folder, whose platform.yaml is read unless --platform names another. */
  project(): string
  /** The folder of this program's caches. */
  cache(): string
  progress(): ProofProgress & { done(): void }
}

interface TestOptions {
  readonly platform?: string
  readonly report?: string
  readonly json?: boolean
  readonly keep?: boolean
}

// Set for the copy of this program that runs inside the namespaces: its folder.
const insideVariable = 'SEEDER_PROOF_FOLDER'

/** Adds `test DIR|FILE...` to `program`. It exits 0 only when no check failed. */
export function registerTestCommand(program: Command, context: TestContext): void {
  program
    .command('test')
    .description(
      'boot clones of a finished image on a private network and prove that it fulfils its role; of one image of each kind, that they work together',
    )
    .argument('<image...>', 'the folder of a build, or a qcow2 file; one, or one of each kind')
    .option('--platform <file>', 'the platform file (default: the one of the project)')
    .option(
      '--report <file>',
      'where the report is written (default: test-report.json beside the image; of several, together-report.json beside haproxy)',
    )
    .option('--json', 'print the report as JSON')
    .option('--keep', 'keep the console logs even when everything passes')
    .action(async (paths: readonly string[], options: TestOptions) => {
      const folder = process.env[insideVariable]
      if (folder === undefined) await outside(paths, context)
      else {
        endWithParent()
        try {
          await inside(paths, options, folder, context)
        } finally {
          // Standard input is still watched; nothing else is left to do, whether it went well or not.
          process.stdin.pause().unref()
        }
      }
    })
}

/** Refuses early what cannot work, and runs this program once more inside namespaces of its own. */
async function outside(paths: readonly string[], context: TestContext): Promise<void> {
  await findSubject(paths)
  await requireTun()
  await requireNamespaces()
  const folder = await makeRunFolder(join(context.cache(), 'test'))
  try {
    const [, script = '', ...rest] = process.argv
    process.exitCode = await runInNamespaces([process.execPath, ...process.execArgv, script, ...rest], {
      [insideVariable]: folder,
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function findSubject(paths: readonly string[]): Promise<Subject> {
  return subjectOf(await Promise.all(paths.map(findCandidate)))
}

async function inside(
  paths: readonly string[],
  options: TestOptions,
  folder: string,
  context: TestContext,
): Promise<void> {
  const subject = await findSubject(paths)
  const progress = context.progress()
  const reportFile = resolve(options.report ?? reportFileOf(subject))
  const places = {
    platformFile: options.platform ?? join(context.project(), 'platform.yaml'),
    folder,
    reportFile,
    keepLogs: options.keep ?? false,
  }
  const { report, logs } = await prove(subject, places, progress)
  progress.done()
  process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : describeReport(report)}\n`)
  progress.note(`report: ${reportFile}`)
  if (logs !== undefined) progress.note(`console logs: ${logs}`)
  process.exitCode = report.passed ? 0 : 1
}
