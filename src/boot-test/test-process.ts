import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomically } from '../files/atomic-file.ts'
import { parseJson } from '../files/json.ts'
import { makeRunFolder } from '../files/run-folder.ts'
import { interruption } from '../process/interruption.ts'
import { causeChain, SeederError, UsageError } from '../report/error.ts'
import { requireTun } from '../vm/lan.ts'
import { endWithParent, requireNamespaces, runInNamespaces } from '../vm/namespace.ts'
import type { TestReport, TogetherReport } from './report.ts'
import type { WrittenReport } from './run.ts'

/**
 * A test needs a network of its own, so this program runs itself inside namespaces: the same script with the same
 * arguments and environment. An environment variable makes it the inner process, which prints its progress and writes
 * its answer to the folder of the test; the outer process reads the answer.
 */

// Set for the inner process: the folder of the test.
const FOLDER_VARIABLE = 'SEEDER_TEST_FOLDER'
const ANSWER = 'answer.json'

const answerSchema = z.union([
  z.strictObject({ reportFile: z.string(), logs: z.string().optional() }),
  z.strictObject({
    failed: z.strictObject({
      message: z.string(),
      fix: z.string().optional(),
      usage: z.boolean(),
      chain: z.array(z.string()),
    }),
  }),
])
type Answer = z.output<typeof answerSchema>

/** A finished test and the file of its report. */
export interface FinishedTest extends WrittenReport {
  readonly reportFile: string
}

/** The folder of the test in the inner process; undefined in the outer one. */
export function testFolder(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return env[FOLDER_VARIABLE]
}

/** The inner process: runs a test and writes its result or its error for the outer process. */
export async function runInside(folder: string, run: () => Promise<FinishedTest>): Promise<void> {
  endWithParent()
  try {
    const { reportFile, logs } = await run()
    await writeAnswer(folder, { reportFile, ...(logs === undefined ? {} : { logs }) })
  } catch (error) {
    await writeAnswer(folder, { failed: describeFailure(error) })
  } finally {
    // `endWithParent` still reads standard input, which would keep the process alive.
    process.stdin.pause().unref()
  }
}

/**
 * The outer process: runs this program inside namespaces and returns its result.
 * @param parent where the folder of the test is made, which is removed again
 * @throws SeederError when the machine cannot make namespaces, and any error of the test
 */
export async function runOutside(parent: string): Promise<FinishedTest> {
  await requireTun()
  await requireNamespaces()
  const folder = await makeRunFolder(parent)
  try {
    const [, script = '', ...rest] = process.argv
    const command = [process.execPath, ...process.execArgv, script, ...rest]
    const status = await runInNamespaces(command, { [FOLDER_VARIABLE]: folder })
    interruption.throwIfAborted()
    return await readAnswer(folder, status)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Reads the answer of an inner process.
 * @throws SeederError with the error of the test, or when the process ended before it had an answer
 */
async function readAnswer(folder: string, status: number): Promise<FinishedTest> {
  const file = join(folder, ANSWER)
  if (!existsSync(file)) {
    throw new SeederError(`the test ended with exit status ${status} before it had a result`, {
      fix: 'see the output above; without any, the machine may have run out of memory (dmesg)',
    })
  }
  const answer = parseJson(await readFile(file, 'utf8'), answerSchema)
  if ('failed' in answer) throw failureOf(answer.failed)
  const report: TestReport | TogetherReport = JSON.parse(await readFile(answer.reportFile, 'utf8'))
  return { report, reportFile: answer.reportFile, logs: answer.logs }
}

async function writeAnswer(folder: string, answer: Answer): Promise<void> {
  await writeAtomically(join(folder, ANSWER), JSON.stringify(answer))
}

type Failure = Extract<Answer, { failed: unknown }>['failed']

function describeFailure(error: unknown): Failure {
  return {
    message: error instanceof Error ? error.message : String(error),
    ...(error instanceof SeederError && error.fix !== undefined ? { fix: error.fix } : {}),
    usage: error instanceof UsageError,
    // The message of a SeederError is enough; of any other error, the stack is needed.
    chain: [
      ...(error instanceof SeederError || !(error instanceof Error) ? [] : [error.stack ?? error.message]),
      ...causeChain(error),
    ],
  }
}

function failureOf({ message, fix, usage, chain }: Failure): SeederError {
  const options = {
    ...(fix === undefined ? {} : { fix }),
    ...(chain.length === 0 ? {} : { cause: new Error(chain.join('\n')) }),
  }
  return usage ? new UsageError(message, options) : new SeederError(message, options)
}
