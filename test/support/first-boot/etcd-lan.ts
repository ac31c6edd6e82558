import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { execa } from 'execa'

/** A program that holds namespaces open until it is ended. */
export interface Holder {
  /** Of the first process in the namespaces, as this machine counts. */
  readonly pid: number
  end(): Promise<void>
}

const forked = ['--fork', '--kill-child', '--mount-proc']

/**
 * Runs a script that ends with `echo held; read <&3` in new namespaces. It is ended with this process at the latest,
 * and with it everything in its namespaces.
 * @param enter a command line in front of it, empty or ending where a command may follow
 */
export async function hold(enter: string[], unshare: string[], script: string, args: string[]) {
  const command = [...enter, 'unshare', ...unshare, '--mount', '--pid', ...forked, 'bash', '-euc']
  const child = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', ...command, `exec 3<> <(:)\n${script}\necho held\nread -u 3`, 'hold', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  for await (const line of createInterface({ input: child.stdout })) if (line === 'held') break
  if (child.exitCode !== null) throw new Error('the namespaces could not be made')
  const pid = await firstProcess(child)
  return { pid, end: () => endOf(child, pid) } satisfies Holder
}

async function firstProcess({ pid }: ChildProcess): Promise<number> {
  return Number(await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'))
}

/** The kernel ends the first process after the one that waits for it, and with it all others. */
async function endOf(child: ChildProcess, pid: number): Promise<void> {
  child.kill('SIGKILL')
  while (existsSync(`/proc/${pid}`)) await setTimeout(10)
}

/** The command line that enters a holder's namespaces, for a command to follow. */
export function into({ pid }: Holder, ...namespaces: string[]): string[] {
  return ['nsenter', '--target', String(pid), ...namespaces.map((name) => `--${name}`), '--']
}

/** A private network that machines are plugged into, and that this process is not part of. */
export class Lan {
  readonly holder: Holder
  private plugs = 0

  private constructor(holder: Holder) {
    this.holder = holder
  }

  static async make(): Promise<Lan> {
    const script = 'ip link set lo up; ip link add lan type bridge; ip link set lan up'
    return new Lan(await hold([], ['--user', '--map-root-user', '--map-auto', '--net', '--uts'], script, []))
  }

  /** Gives a machine its card with an address in a network of 64. */
  async plug(machine: Holder, address: string): Promise<void> {
    this.plugs += 1
    const plug = `plug${this.plugs}`
    const run = async (holder: Holder, script: string) =>
      await execa('nsenter', [...into(holder, 'user', 'net').slice(1), 'bash', '-euc', script])
    await run(
      this.holder,
      `ip link add ${plug} type veth peer name eth0 netns ${machine.pid}; ip link set ${plug} master lan up`,
    )
    await run(machine, `ip link set lo up; ip address add ${address}/26 dev eth0; ip link set eth0 up`)
  }

  async dispose(): Promise<void> {
    await this.holder.end()
  }
}
