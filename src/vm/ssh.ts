import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** The operator's key of a proof. */
export interface SshKey {
  readonly privateFile: string
  /** One line. */
  readonly publicKey: string
}

/**
 * Makes a key in a folder.
 * @throws SeederError without ssh-keygen
 */
export async function makeSshKey(folder: string): Promise<SshKey> {
  const privateFile = join(folder, 'operator')
  try {
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'operator@proof', '-f', privateFile])
  } catch (cause) {
    throw new SeederError('could not make an ssh key with ssh-keygen', {
      fix: 'run scripts/setup.sh, which installs openssh-client',
      cause,
    })
  }
  return { privateFile, publicKey: (await readFile(`${privateFile}.pub`, 'utf8')).trim() }
}

/** Where an ssh session goes, and how the host must identify itself. */
export interface SshTarget {
  readonly from: string
  readonly to: string
  readonly user: string
  /** Public keys, `type base64` each. */
  readonly hostKeys: readonly string[]
}

/** `ssh` arguments that depend on nothing in the user's own configuration. */
export function sshArguments(target: SshTarget, knownHosts: string, options: readonly string[]): string[] {
  const fixed = [
    ...[`UserKnownHostsFile=${knownHosts}`, 'GlobalKnownHostsFile=/dev/null', 'StrictHostKeyChecking=yes'],
    ...['BatchMode=yes', 'IdentitiesOnly=yes', 'IdentityAgent=none', 'ConnectTimeout=20'],
  ]
  return [
    ...['-F', 'none', '-b', target.from],
    ...[...fixed, ...options].flatMap((option) => ['-o', option]),
    `${target.user}@${target.to}`,
  ]
}

/** Logs in with a key and runs a command, or tries to: exit status and output. */
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
