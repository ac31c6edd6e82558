import { runCommandLine } from './command-line.ts'
import { listenForInterruption } from './process/interruption.ts'

listenForInterruption()
const status = await runCommandLine(process.argv.slice(2))
if (status !== undefined) process.exitCode = status
