import { PveError } from '../failure.ts'
import { runFile, runningPid } from '../running.ts'
import { loadConfig } from '../vm-config.ts'
import { isAgentEnabled } from './machine.ts'
import { JsonSocket } from './socket.ts'

// Proxmox VE waits for 3 seconds. An emulated guest on a busy machine may need longer to answer at all.
const syncTimeoutMs = 6000
const replyTimeoutMs = 60_000

/**
 * Has the guest agent do something.
 * @throws PveError when there is no agent, it does not answer, or it refuses
 */
export async function callGuest(vmid: number, execute: string, args?: object): Promise<unknown> {
  const { values } = loadConfig(vmid)
  if (!isAgentEnabled(values)) throw new PveError('No QEMU guest agent configured')
  if (runningPid(vmid) === undefined) throw new PveError(`VM ${vmid} is not running`)
  const socket = await JsonSocket.open(runFile(vmid, 'qga')).catch(() => undefined)
  if (socket === undefined) throw new PveError('QEMU guest agent is not running')
  try {
    await synchronise(socket)
    socket.send({ execute, ...(args === undefined ? {} : { arguments: args }) })
    // The agent gives no answer to this one.
    if (execute === 'guest-shutdown') return undefined
    const reply = await socket.receive(
      replyTimeoutMs,
      (one) => one.return !== undefined || one.error !== undefined,
    )
    if (reply.error !== undefined) throw new PveError(`Agent error: ${reply.error.desc}`)
    return reply.return
  } finally {
    socket.close()
  }
}

/** Answers that were meant for another one may still come before the one to this mark. */
async function synchronise(socket: JsonSocket): Promise<void> {
  const id = process.pid * 1000 + (Date.now() % 1000)
  // A byte that is never JSON makes the agent drop half a request that it may still hold.
  socket.send({ execute: 'guest-sync-delimited', arguments: { id } }, '\xff')
  try {
    await socket.receive(syncTimeoutMs, (reply) => reply.return === id)
  } catch {
    throw new PveError('QEMU guest agent is not running')
  }
}
