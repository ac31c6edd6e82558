import { spawn } from 'node:child_process'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** Arguments for `unshare` that run a command as root of its own user, network, mount and process namespaces. */
export function namespaceArguments(command: readonly string[]): string[] {
  return [
    '--user',
    '--map-root-user',
    '--net',
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--',
    ...command,
  ]
}

/**
 * Checks that this user may make namespaces.
 * @throws SeederError when the kernel refuses
 */
export async function requireNamespaces(): Promise<void> {
  const result = await execa('unshare', namespaceArguments(['true']), { reject: false })
  if (result.exitCode === 0) return
  const found = result.stderr?.trim() || result.message
  throw new SeederError(`could not make namespaces for the VMs' private network (${found})`, {
    fix: 'allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1, and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0',
  })
}

/**
 * Runs a command in namespaces of its own, with the output of this process, and returns its exit status. The end of this
 * process ends everything in the namespaces: on a signal it kills their first process, and when it is killed itself, the
 * command sees the end of its standard input.
 */
export async function runInNamespaces(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const child = spawn('unshare', namespaceArguments(command), {
    stdio: ['pipe', 'inherit', 'inherit'],
    // The command is this program, which in a step of a workflow gets its inputs by environment variables.
    env: { ...process.env, ...environment },
  })
  let interrupted = 0
  const interrupt = (_: NodeJS.Signals, number: number) => {
    interrupted = number
    child.kill('SIGKILL')
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, interrupt)
  try {
    const status = await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? 1))
    })
    return interrupted > 0 ? 128 + interrupted : status
  } finally {
    for (const signal of signals) process.off(signal, interrupt)
  }
}

/** In the namespaces: ends this process, and with it all others there, as soon as the outer process has ended. */
export function endWithParent(): void {
  process.stdin.on('end', () => process.exit(1)).resume()
}
