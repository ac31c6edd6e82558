import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** The operator's key of a test. */
export interface SshKey {
  readonly privateFile: string
  /** One line. */
  readonly publicKey: string
}

/**
 * Makes a key in a folder.
 * @throws SeederError when ssh-keygen is missing
 */
export async function makeSshKey(folder: string): Promise<SshKey> {
  const privateFile = join(folder, 'operator')
  try {
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'operator@test', '-f', privateFile])
  } catch (cause) {
    throw new SeederError('could not make an ssh key with ssh-keygen', {
      fix: 'run scripts/setup.sh, which installs openssh-client',
      cause,
    })
  }
  return { privateFile, publicKey: (await readFile(`${privateFile}.pub`, 'utf8')).trim() }
}

/** The destination of an ssh session, and the keys of its host. */
export interface SshTarget {
  readonly from: string
  readonly to: string
  readonly user: string
  /** Public keys, `type base64` each. */
  readonly hostKeys: readonly string[]
}

/** `ssh` arguments that are independent of the user's configuration. */
export function sshArguments(target: SshTarget, knownHosts: string, options: readonly string[]): string[] {
  const fixed = [
    `UserKnownHostsFile=${knownHosts}`,
    'GlobalKnownHostsFile=/dev/null',
    'StrictHostKeyChecking=yes',
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'ConnectTimeout=20',
  ]
  const all = [...fixed, ...options].flatMap((option) => ['-o', option])
  return ['-F', 'none', '-b', target.from, ...all, `${target.user}@${target.to}`]
}

/** Tries to log in and run a command; returns its exit status and output. */
export async function ssh(
  target: SshTarget,
  folder: string,
  options: readonly string[],
  command: string,
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const knownHosts = join(folder, 'known_hosts')
  await writeFile(knownHosts, target.hostKeys.map((key) => `${target.to} ${key}\n`).join(''))
  const result = await execa('ssh', [...sshArguments(target, knownHosts, options), '--', command], {
    reject: false,
    timeout: 60_000,
  })
  return { exitCode: result.exitCode ?? 255, stdout: result.stdout, stderr: result.stderr }
}
