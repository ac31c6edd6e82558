import { existsSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { parseJson } from '../files/json.ts'
import { makeRunFolder } from '../files/run-folder.ts'
import { interruption } from '../process/interruption.ts'
import { causeChain, SeederError, UsageError } from '../report/error.ts'
import { requireTun } from '../vm/lan.ts'
import { endWithParent, requireNamespaces, runInNamespaces } from '../vm/namespace.ts'
import type { TestReport, TogetherReport } from './report.ts'
import type { WrittenReport } from './run.ts'

/**
 * A proof wants a network of its own, so this program runs once more inside namespaces: the same script with the same
 * arguments and environment, and a variable by which the copy knows what it is. The copy leaves its answer in the
 * folder of the proof, and tells nobody anything but its progress; the one outside reads the answer.
 */

// Set for the copy: the folder of the proof.
const VARIABLE = 'SEEDER_PROOF_FOLDER'
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

/** A finished proof and where its report is. */
export interface FinishedTest extends WrittenReport {
  readonly reportFile: string
}

/** The folder of the proof when this process is the copy inside the namespaces; undefined outside. */
export function testFolder(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return env[VARIABLE]
}

/** Inside: runs `prove` and leaves what came of it, also a failure, for the process outside. */
export async function runInside(folder: string, prove: () => Promise<FinishedTest>): Promise<void> {
  endWithParent()
  try {
    const { reportFile, logs } = await prove()
    await leave(folder, { reportFile, ...(logs === undefined ? {} : { logs }) })
  } catch (error) {
    await leave(folder, { failed: describeFailure(error) })
  } finally {
    // Standard input is still watched; nothing else is left to do, whether it went well or not.
    process.stdin.pause().unref()
  }
}

/**
 * Outside: runs this program once more, inside namespaces, and returns what it left. `parent` is where the folder of
 * the proof is made; it is removed again.
 * @throws SeederError when the machine cannot make namespaces, and whatever the proof itself threw
 */
export async function runOutside(parent: string): Promise<FinishedTest> {
  await requireTun()
  await requireNamespaces()
  const folder = await makeRunFolder(parent)
  try {
    const [, script = '', ...rest] = process.argv
    const command = [process.execPath, ...process.execArgv, script, ...rest]
    const status = await runInNamespaces(command, { [VARIABLE]: folder })
    interruption.throwIfAborted()
    return await readAnswer(folder, status)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What the copy left in `folder`. Throws what it threw, or SeederError when it ended before it left anything. */
export async function readAnswer(folder: string, status: number): Promise<FinishedTest> {
  const file = join(folder, ANSWER)
  if (!existsSync(file)) {
    throw new SeederError(`the proof ended with exit status ${status} before it had a result`, {
      fix: 'see what was said above; if nothing was, the machine may have run out of memory (dmesg)',
    })
  }
  const answer = parseJson(await readFile(file, 'utf8'), answerSchema)
  if ('failed' in answer) throw failureOf(answer.failed)
  const report: TestReport | TogetherReport = JSON.parse(await readFile(answer.reportFile, 'utf8'))
  return { report, reportFile: answer.reportFile, logs: answer.logs }
}

async function leave(folder: string, answer: Answer): Promise<void> {
  const file = join(folder, ANSWER)
  await writeFile(`${file}.part`, JSON.stringify(answer))
  await rename(`${file}.part`, file)
}

type Failure = Extract<Answer, { failed: unknown }>['failed']

function describeFailure(error: unknown): Failure {
  return {
    message: error instanceof Error ? error.message : String(error),
    ...(error instanceof SeederError && error.fix !== undefined ? { fix: error.fix } : {}),
    usage: error instanceof UsageError,
    // An error of ours says all there is to say; of any other the place is worth knowing.
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
