import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { anyJson } from '../../files/json.ts'
import { statusSchema } from '../../guest/status.ts'
import { NODE_ENV_PATH } from '../../guest/vendor-data.ts'
import { interruption } from '../../process/interruption.ts'
import { SeederError } from '../../report/error.ts'
import { type Argv, failureReason, type Host } from '../commands.ts'
import { isRunning } from './machine.ts'

/** How a command in a guest ended. */
export interface GuestEnded {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const reply = z.object({
  exited: z.union([z.boolean(), z.number()]).optional(),
  exitcode: z.number().optional(),
  'out-data': z.string().default(''),
  'err-data': z.string().default(''),
})

const firstBootSchema = statusSchema.pick({ state: true, reason: true })
export type FirstBootStatus = z.output<typeof firstBootSchema>

/** The host's command that runs `argv` in a guest. */
export function guestCommand(vmid: number, argv: Argv, timeoutSeconds: number): Argv {
  return ['qm', 'guest', 'exec', String(vmid), '--timeout', String(timeoutSeconds), '--', ...argv]
}

/**
 * Runs a command in a guest through its agent.
 * @throws SeederError when the agent does not answer, or the command does not end in time
 */
export async function guestExec(
  host: Host,
  vmid: number,
  argv: Argv,
  timeoutSeconds = 60,
): Promise<GuestEnded> {
  const command = guestCommand(vmid, argv, timeoutSeconds)
  // qm waits without limit for an agent that hangs.
  const ended = await host.run(command, { timeoutMs: (timeoutSeconds + 60) * 1000 })
  if (ended.code !== 0)
    throw new SeederError(`The agent of VM ${vmid} does not answer: ${failureReason(ended)}`)
  const answer = reply.safeParse(anyJson(ended.stdout))
  if (!answer.success || !answer.data.exited) {
    throw new SeederError(`${argv.join(' ')} in VM ${vmid} did not end within ${timeoutSeconds} seconds`)
  }
  const { exitcode, 'out-data': stdout, 'err-data': stderr } = answer.data
  return { code: exitcode ?? 255, stdout, stderr }
}

/** As `guestExec`, but returns the output. @throws SeederError also when the command fails */
export async function guestOutput(
  host: Host,
  vmid: number,
  argv: Argv,
  timeoutSeconds?: number,
): Promise<string> {
  const ended = await guestExec(host, vmid, argv, timeoutSeconds)
  if (ended.code === 0) return ended.stdout
  throw new SeederError(`${argv.join(' ')} in VM ${vmid} failed: ${failureReason(ended)}`)
}

/** The status of first boot; undefined while the agent does not answer. */
export async function readStatus(host: Host, vmid: number): Promise<FirstBootStatus | undefined> {
  const ended = await guestExec(host, vmid, ['/usr/lib/seeder/status'], 30).catch(() => undefined)
  return firstBootSchema.safeParse(anyJson(ended?.stdout ?? '')).data
}

/** Whether a node has nothing to do because node.env is missing, and not because its values give it nothing. */
async function lacksValues(host: Host, vmid: number, reason: string): Promise<boolean> {
  if (!/^not configured\b/.test(reason)) return false
  return (await guestExec(host, vmid, ['/usr/bin/test', '-s', NODE_ENV_PATH])).code !== 0
}

const PAUSE_MS = 3000

/**
 * Waits until a node is ready and `accepts` its reason.
 * @throws SeederError when first boot fails, the VM stops, or time is up
 */
export async function awaitReady(
  host: Host,
  node: { readonly name: string; readonly vmid: number },
  timeoutMs: number,
  accepts: (reason: string) => boolean = () => true,
): Promise<string> {
  const { name, vmid } = node
  const look = `look at its console, qm terminal ${vmid}; then run the same command again, or: seeder node destroy ${name} --force`
  let seen = 'its agent has not answered yet'
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; ) {
    const status = await readStatus(host, vmid)
    interruption.throwIfAborted()
    if (status?.state === 'failed') {
      throw new SeederError(`${name} (VM ${vmid}) runs, but its first boot failed: ${status.reason}`, {
        fix: `destroy it, and create it again with the right values: seeder node destroy ${name} --force`,
      })
    }
    if (status?.state === 'ready' && (await lacksValues(host, vmid, status.reason))) {
      throw new SeederError(
        `${name} (VM ${vmid}) runs, but it did not get its vendor data: ${status.reason}`,
        {
          fix: `see what is on its drive: qm config ${vmid}, cicustom; then: seeder node destroy ${name} --force`,
        },
      )
    }
    if (status?.state === 'ready' && accepts(status.reason)) return status.reason
    seen = status?.reason ?? seen
    if (!status && !(await isRunning(host, vmid))) {
      throw new SeederError(`${name} (VM ${vmid}) was started, but does not run any more`, { fix: look })
    }
    await sleep(PAUSE_MS, undefined, { signal: interruption })
  }
  const seconds = Math.round(timeoutMs / 1000)
  throw new SeederError(`${name} (VM ${vmid}) runs, but is not ready after ${seconds} seconds: ${seen}`, {
    fix: look,
  })
}
