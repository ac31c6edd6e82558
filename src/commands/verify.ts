import { type Command, Option } from 'commander'
import { requireAllowedSigners } from '../release/signers.ts'
import { type Finding, verifyFolder } from '../release/verify-folder.ts'
import { SeederError } from '../report/error.ts'
import { formatTable } from '../report/table.ts'
import type { Context } from './context.ts'

/** The options of `verify`, as they are given. */
export interface VerifyOptions {
  readonly folder: string
  readonly allowedSigners?: string | undefined
  readonly allowUnsigned?: boolean | undefined
}

/** Adds `verify DIR`. It exits 0 only when nothing was wrong. */
export function registerVerifyCommand(program: Command, context: () => Context): void {
  program
    .command('verify')
    .description('check the files of a build or a download: digests, whether they belong together, signature')
    .argument('<dir>', 'the folder of a build or a download')
    .addOption(
      new Option(
        '--allowed-signers <file>',
        'who may sign (default: allowed_signers of the project)',
      ).conflicts('allowUnsigned'),
    )
    .option('--allow-unsigned', 'check no signature')
    .option('--json', 'print it as JSON')
    .action(
      async (folder: string, { json, ...options }: Omit<VerifyOptions, 'folder'> & { json?: boolean }) => {
        const findings = await verifyCommand({ ...options, folder }, context())
        process.stdout.write(`${json ? JSON.stringify(findings, null, 2) : describeFindings(findings)}\n`)
        requireRight(folder, findings)
      },
    )
}

/** What there is to say about a folder. Throws UsageError when it is not known who may sign. */
export async function verifyCommand(options: VerifyOptions, context: Context): Promise<Finding[]> {
  const { folder, allowedSigners, allowUnsigned } = options
  return verifyFolder(
    folder,
    allowUnsigned ? undefined : requireAllowedSigners(allowedSigners, context.project),
  )
}

/** Throws SeederError when something is wrong. */
export function requireRight(folder: string, findings: readonly Finding[]): void {
  const wrong = findings.filter(({ result }) => result === 'wrong')
  if (wrong.length === 0) return
  throw new SeederError(`${folder} is not to be used: ${wrong.map(({ what }) => what).join(', ')}`, {
    fix: 'build or download it again',
  })
}

function describeFindings(findings: readonly Finding[]): string {
  return formatTable(
    ['what', 'result', 'found'],
    findings.map(({ what, result, found }) => [what, result, found]),
  )
}
