// A process that runs the command line in itself, one command after the other, as its parent requests them: starting it
// again for each of thousands would take longer than all of them. What a command prints and its exit status are sent back.
import { runCommandLine } from '../../../src/command-line.ts'

/** What is to be run, or what of the product is to be called with a text. */
export interface Job {
  readonly argv: readonly string[]
}

/** A job's end. */
export interface Done {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

if (process.send) process.on('message', (job: Job) => void run(job))

async function run({ argv }: Job): Promise<void> {
  const printed = { stdout: '', stderr: '' }
  const restore = (['stdout', 'stderr'] as const).map((name) => {
    const write = process[name].write
    process[name].write = (chunk: string | Uint8Array) => {
      printed[name] += Buffer.from(chunk).toString()
      return true
    }
    return () => {
      process[name].write = write
    }
  })
  process.exitCode = 0
  const status = await runCommandLine(argv).catch((error: unknown) => {
    // As node shows what nothing has caught.
    printed.stderr += error instanceof Error ? (error.stack ?? '') : String(error)
    return 1
  })
  for (const put of restore) put()
  process.send?.({ code: status ?? Number(process.exitCode), ...printed } satisfies Done)
}
