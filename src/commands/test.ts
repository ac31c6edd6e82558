import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import type { TestProgress } from '../boot-test/contract.ts'
import { findImage } from '../boot-test/image-under-test.ts'
import { describeReport } from '../boot-test/report.ts'
import { reportFileOf, runTest, subjectOf, type TestSubject } from '../boot-test/run.ts'
import { type FinishedTest, runInside, runOutside, testFolder } from '../boot-test/test-process.ts'
import { print } from '../report/print.ts'
import { examples } from './options.ts'

/** What the command needs from its program. */
export interface TestContext {
  /** The project folder, whose platform.yaml is read unless --platform names another. */
  project(): string
  /** The folder of this program's caches. */
  readonly cache: string
  progress(): TestProgress & { done(): void }
}

interface TestOptions {
  readonly platform?: string | undefined
  readonly report?: string | undefined
  readonly keep?: boolean | undefined
}

/** The images to test: a folder of a build or a qcow2 file, or one of each kind. */
export interface TestRequest extends TestOptions {
  readonly paths: readonly string[]
}

/**
 * Tests finished images. Returns undefined in the inner process, because the outer one has the result.
 * @throws UsageError for images that cannot be tested
 * @throws SeederError when the machine cannot run the test
 */
export async function testCommand(
  request: TestRequest,
  context: TestContext,
): Promise<FinishedTest | undefined> {
  const folder = testFolder()
  if (folder !== undefined) {
    await runInside(folder, () => testInside(request, folder, context))
    return undefined
  }
  // Refuses wrong arguments before a process is started.
  await findSubject(request.paths)
  return runOutside(join(context.cache, 'test'))
}

/** Adds `test DIR|FILE...` to `program`. It exits 0 only when no check failed. */
export function registerTestCommand(program: Command, context: () => TestContext): void {
  program
    .command('test')
    .description(
      'Boot clones of a finished image on a private network and test its role. One of each kind founds a cluster.',
    )
    .argument('<image...>', 'folder of a build, or a qcow2 file; one, or one of each kind')
    .option('--platform <file>', 'read this platform file (default: that of the project)')
    .option(
      '--report <file>',
      'write the report to this file (default: test-report.json beside the image; of several, together-report.json beside haproxy)',
    )
    .option('--json', 'print the report as JSON')
    .option('--keep', 'keep the console logs, also when everything passes')
    .addHelpText(
      'after',
      examples('seeder test out/haproxy', 'seeder test out/haproxy out/etcd out/kubernetes-node'),
    )
    .action(async (paths: readonly string[], options: TestOptions & { readonly json?: boolean }) => {
      const made = context()
      const finished = await testCommand({ ...options, paths }, made)
      if (finished === undefined) return
      const { report, reportFile, logs } = finished
      print(options.json ? report : describeReport(report))
      const progress = made.progress()
      progress.note(`report: ${reportFile}`)
      if (logs !== undefined) progress.note(`console logs: ${logs}`)
      process.exitCode = report.passed ? 0 : 1
    })
}

async function findSubject(paths: readonly string[]): Promise<TestSubject> {
  return subjectOf(await Promise.all(paths.map(findImage)))
}

async function testInside(request: TestRequest, folder: string, context: TestContext): Promise<FinishedTest> {
  const subject = await findSubject(request.paths)
  const progress = context.progress()
  const reportFile = resolve(request.report ?? reportFileOf(subject))
  const platformFile = request.platform ?? join(context.project(), 'platform.yaml')
  const places = { platformFile, folder, reportFile, keepLogs: request.keep ?? false }
  const written = await runTest(subject, places, progress)
  progress.done()
  return { ...written, reportFile }
}
