import { join } from 'node:path'
import { execa } from 'execa'

export const checkout = join(import.meta.dirname, '../..')

/** How the program ended and what it printed. */
export interface Ended {
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line as a process of its own, as a person would, in `cwd`, with `env` over this one's. */
export async function seeder(
  argv: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const { exitCode, stdout, stderr } = await execa(
    process.execPath,
    [join(checkout, 'src/cli.ts'), ...argv],
    {
      cwd: options.cwd ?? checkout,
      env: { NO_COLOR: '1', ...options.env },
      stdin: 'ignore',
      reject: false,
      maxBuffer: 64 * 1024 * 1024,
    },
  )
  return { code: exitCode, stdout, stderr }
}
