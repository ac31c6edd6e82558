import { spawn } from 'node:child_process'
import { Duplex } from 'node:stream'

/**
 * A simulated guest agent: speaks qemu-ga's protocol on the guest's end of the port, and runs programs on this machine. Unit
 * tests have no time to boot a VM.
 */
export function guestAgentPort(options: { deafForSyncs?: number; garbage?: string } = {}): Duplex {
  const jobs = new Map<number, object>()
  let deaf = options.deafForSyncs ?? 0
  let rest = ''
  const port = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      rest += chunk.toString('latin1').replaceAll('\xff', '')
      const lines = rest.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) void answer(JSON.parse(Buffer.from(line, 'latin1').toString()))
      done()
    },
  })
  const reply = (value: unknown) => port.push(`${JSON.stringify({ return: value })}\n`)

  async function answer(request: { execute: string; arguments: Record<string, unknown> }): Promise<void> {
    const { execute, arguments: args } = request
    if (execute === 'guest-sync-delimited') {
      if (deaf-- > 0) return
      port.push(options.garbage ?? '')
      port.push(Buffer.from([0xff]))
      reply(args.id)
    } else if (execute === 'guest-exec') {
      const child = spawn(String(args.path), args.arg as string[])
      // A program that does not read its input closes it.
      child.stdin.on('error', () => undefined)
      child.stdin.end(Buffer.from(String(args['input-data'] ?? ''), 'base64'))
      const output = { out: '', err: '' }
      child.stdout.on('data', (data) => {
        output.out += data
      })
      child.stderr.on('data', (data) => {
        output.err += data
      })
      const pid = child.pid ?? 0
      jobs.set(pid, { exited: false })
      child.on('close', (code, signal) =>
        jobs.set(pid, {
          exited: true,
          ...(signal ? { signal: 9 } : { exitcode: code }),
          'out-data': Buffer.from(output.out).toString('base64'),
          'err-data': Buffer.from(output.err).toString('base64'),
        }),
      )
      reply({ pid })
    } else if (execute === 'guest-exec-status') {
      reply(jobs.get(Number(args.pid)))
    } else {
      port.push(`${JSON.stringify({ error: { class: 'CommandNotFound', desc: `no ${execute} here` } })}\n`)
    }
  }
  return port
}
