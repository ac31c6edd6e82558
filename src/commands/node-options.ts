import { resolve } from 'node:path'
import { type NodeValues, parseNodeEnv } from '../guest/node-env.ts'
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

/** The absolute path of a file of ssh public keys. */
async function publicKeys(file: string): Promise<string> {
  const text = await readOptionFile('--ssh-keys', file)
  if (text.includes('PRIVATE KEY-----')) {
    throw new UsageError(`${file} is a private key`, { fix: `name the public one: ${file}.pub` })
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
  const bad = lines.find((line) => !/^(ssh|ecdsa|sk)-[\w@.-]+ [A-Za-z0-9+/]+={0,2}( .*)?$/.test(line))
  if (lines.length > 0 && bad === undefined) return resolve(file)
  throw new UsageError(`${file} is not a file of ssh public keys`, {
    fix: 'it has one key per line, as in ~/.ssh/id_ed25519.pub',
  })
}
