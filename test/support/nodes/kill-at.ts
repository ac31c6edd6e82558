// Preloaded into the program that is tested: counts what it changes on disk and every command that it runs, and kills its
// process group right before one of them, or right after a command has ended.
//   KILL_LOG=FILE   writes each point down, a line each
//   KILL_AT=N       the point, from 1
import childProcess from 'node:child_process'
import { appendFileSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

const log = process.env.KILL_LOG ?? ''
const at = Number(process.env.KILL_AT ?? 0)
let count = 0

function pass(point: string): void {
  count++
  if (log !== '') appendFileSync(log, `${point}\n`)
  if (count === at) process.kill(0, 'SIGKILL')
}

for (const name of ['rename', 'rm', 'mkdir', 'writeFile'] as const) {
  const own = promises[name] as (...args: unknown[]) => Promise<unknown>
  Object.assign(promises, {
    [name]: (...args: unknown[]) => {
      pass(`${name} ${args[0]}`)
      return own(...args)
    },
  })
}

const open = promises.open
promises.open = async (file, flags, mode) => {
  if (flags === undefined) return open(file)
  pass(`open ${file}`)
  const handle = await open(file, flags, mode)
  const write = handle.writeFile
  handle.writeFile = async (...args) => {
    pass(`write ${file}`)
    await write.apply(handle, args)
  }
  return handle
}

const spawn = childProcess.spawn as (...args: unknown[]) => ReturnType<typeof childProcess.spawn>
Object.assign(childProcess, {
  spawn: (program: string, argv: readonly string[], options: unknown) => {
    const line = [program, ...argv].join(' ').replaceAll('\n', ' ')
    pass(`before ${line}`)
    const child = spawn(program, argv, options)
    // The first to hear of it.
    child.prependListener('exit', () => pass(`after ${line}`))
    return child
  },
})
syncBuiltinESMExports()
