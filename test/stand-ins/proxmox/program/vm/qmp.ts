import { PveError } from '../failure.ts'
import { runFile } from '../running.ts'
import { JsonSocket } from './socket.ts'

const replyTimeoutMs = 10_000

/**
 * Has QEMU do something.
 * @throws PveError when it refuses or does not answer
 */
export async function qmp(vmid: number, execute: string, args: object = {}): Promise<unknown> {
  const socket = await JsonSocket.open(runFile(vmid, 'qmp'))
  try {
    await socket.receive(replyTimeoutMs, (reply) => reply.QMP !== undefined)
    socket.send({ execute: 'qmp_capabilities' })
    await socket.receive(replyTimeoutMs, isAnswer)
    socket.send({ execute, arguments: args })
    const { error, return: result } = await socket.receive(replyTimeoutMs, isAnswer)
    if (error !== undefined) throw new PveError(`VM ${vmid} qmp command '${execute}' failed - ${error.desc}`)
    return result
  } finally {
    socket.close()
  }
}

function isAnswer(reply: { return?: unknown; error?: unknown }): boolean {
  return reply.return !== undefined || reply.error !== undefined
}
