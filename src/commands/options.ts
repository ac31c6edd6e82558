import { relative } from 'node:path'
import { readText } from '../files/text-file.ts'
import { UsageError } from '../report/error.ts'

/** The examples at the end of a command's help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}

/**
 * Reads the file that an option names.
 * @throws UsageError when it cannot be read
 */
export async function readOptionFile(option: string, file: string): Promise<string> {
  return readText(file, { pipes: true }).catch((cause: unknown) => {
    throw new UsageError(`${option}: ${file} cannot be read`, { fix: 'check that the file exists', cause })
  })
}

/**
 * The private key in the file of --key, otherwise in SEEDER_SIGNING_KEY; undefined when there is none.
 * @throws UsageError when the file cannot be read
 */
export async function readSigningKey(
  file: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const key = file === undefined ? env.SEEDER_SIGNING_KEY : await readOptionFile('--key', file)
  return key?.trim() ? key : undefined
}

/** A path for people: relative for a file below the working directory. */
export function shortPath(file: string): string {
  const path = relative(process.cwd(), file)
  return path.startsWith('..') ? file : path
}
