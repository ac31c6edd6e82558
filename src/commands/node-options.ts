import { createHash } from 'node:crypto'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { writeAtomically } from '../files/atomic-file.ts'
import { type NodeValues, parseNodeEnv } from '../guest/node-env.ts'
import { parseSshKeys } from '../guest/ssh-keys.ts'
import { type NodeRequest, parseVmidRange } from '../host/node/request.ts'
import { type Certificates, certificatesIn, certificatesOfPki } from '../host/node/tls.ts'
import { openAuthority } from '../pki/authority.ts'
import { secretKeys } from '../platform/roles.ts'
import type { RoleName } from '../platform/schema.ts'
import { UsageError } from '../report/error.ts'
import { readOptionFile } from './options.ts'

/** The options of `node plan`, `create` and `replace`. */
export interface MakeFlags {
  readonly platform?: string
  readonly newCluster?: boolean
  readonly set: readonly string[]
  readonly env?: string
  readonly tls?: string
  readonly pki?: string
  readonly sshKeys?: string
  readonly user?: string
  readonly vmidRange: string
  readonly full?: boolean
  readonly storage?: string
  readonly dataDisk?: number
  readonly snippets?: string
  /** Seconds. */
  readonly wait: number
}

/**
 * The request from the options.
 * @param inherited values that the options override
 * @throws UsageError when an option is wrong
 */
export async function requestOf(
  names: readonly string[],
  role: RoleName,
  flags: MakeFlags,
  inherited: NodeValues = {},
): Promise<NodeRequest> {
  return {
    names,
    role,
    newCluster: flags.newCluster ?? false,
    vmids: parseVmidRange(flags.vmidRange),
    full: flags.full ?? false,
    storage: flags.storage,
    dataDisk: flags.dataDisk,
    sshKeys: flags.sshKeys === undefined ? undefined : await publicKeys(flags.sshKeys),
    user: flags.user,
    values: { ...inherited, ...(await givenValues(flags)) },
  }
}

/**
 * The source of certificates: the folder of --tls, otherwise the operator's PKI.
 * @param issue false for a plan, which changes nothing
 */
export function certificatesOf(
  { tls, pki }: MakeFlags,
  note: (text: string) => void,
  issue = true,
): Certificates {
  if (tls !== undefined && pki !== undefined) {
    throw new UsageError('--tls and --pki: certificates come from one of them', { fix: 'leave one out' })
  }
  return tls === undefined
    ? certificatesOfPki(() => openAuthority(pki, note), issue)
    : certificatesIn(resolve(tls))
}

async function givenValues({ set, env }: MakeFlags): Promise<NodeValues> {
  const text = env === undefined ? '' : await readOptionFile('--env', env)
  const { values, problems } = parseNodeEnv(text)
  if (problems.length > 0) {
    throw new UsageError(problems.map(({ key, reason }) => `${env}: ${key}: ${reason}`).join('\n'), {
      fix: 'write KEY=value lines, with # for comments',
    })
  }
  const given = set.map((pair): [string, string] => {
    const [, key, value = ''] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(pair) ?? []
    if (key === undefined) {
      throw new UsageError(`--set: "${pair}" is not KEY=VALUE`, { fix: 'write it as in NODEPORTS=30080' })
    }
    if (secretKeys.includes(key) && value !== '') {
      throw new UsageError(`--set ${key}: every user of this host can read a command line`, {
        fix: 'write it into a file that only you can read, and name the file with --env',
      })
    }
    return [key, value.trim()]
  })
  return { ...values, ...Object.fromEntries(given) }
}

/**
 * The absolute path of a file of ssh public keys that `qm set --sshkeys` takes. Proxmox VE refuses comments, and writes keys
 * unquoted into YAML: where a file is not in that form, this is a copy of its keys in memory, until the next boot.
 * @param copies the folder of copies
 */
export async function publicKeys(file: string, copies = '/run/seeder'): Promise<string> {
  const text = await readOptionFile('--ssh-keys', file)
  if (text.includes('PRIVATE KEY-----')) {
    throw new UsageError(`${file} is a private key`, { fix: `name the public one: ${file}.pub` })
  }
  const { keys, problems } = parseSshKeys(text)
  if (problems.length > 0 || keys.length === 0) {
    const found = problems.map(({ line, reason }) => `${file}: line ${line}: ${reason}`)
    throw new UsageError(found.length > 0 ? found.join('\n') : `${file} has no key in it`, {
      fix: 'name a file with one public key per line, as in ~/.ssh/id_ed25519.pub or authorized_keys',
    })
  }
  const wanted = `${keys.join('\n')}\n`
  if (await hasBytes(file, wanted)) return resolve(file)
  const copy = join(copies, `ssh-keys-${createHash('sha256').update(wanted).digest('hex').slice(0, 16)}.pub`)
  await mkdir(copies, { recursive: true })
  await writeAtomically(copy, wanted, 0o600)
  return copy
}

/** Whether a file, which is no pipe, has exactly this text; the newline at its end may be missing. */
async function hasBytes(file: string, text: string): Promise<boolean> {
  if (!(await stat(file)).isFile()) return false
  const bytes = await readFile(file)
  return bytes.equals(Buffer.from(text)) || bytes.equals(Buffer.from(text.trimEnd()))
}
