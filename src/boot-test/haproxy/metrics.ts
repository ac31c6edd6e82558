import { SeederError } from '../../report/error.ts'
import type { GuestAgent } from '../../vm/agent.ts'

// Bash can open TCP connections, so that the image needs no curl.
const METRICS_SCRIPT = `
set -e
exec 3<>/dev/tcp/127.0.0.1/8405
printf 'GET /metrics?scope=server HTTP/1.0\\r\\n\\r\\n' >&3
grep '^haproxy_server_status{' <&3
`

/**
 * HAProxy's state of each server (UP, DOWN, …) by `proxy/server`, from its Prometheus endpoint.
 * @throws SeederError when it does not respond
 */
export async function serverStates(agent: GuestAgent): Promise<Map<string, string>> {
  const result = await agent.exec(['/bin/bash', '-c', METRICS_SCRIPT])
  if (result.exitCode === 0) return parseServerStates(result.stdout)
  throw new SeederError(`requested the metrics of HAProxy; ${result.stderr.trim() || 'it has no servers'}`)
}

/** The states in Prometheus text: of the samples of a server, the one with the value 1. */
export function parseServerStates(text: string): Map<string, string> {
  const states = new Map<string, string>()
  for (const line of text.split('\n')) {
    if (!line.startsWith('haproxy_server_status{') || !/} 1(\.0)?$/.test(line.trim())) continue
    const label = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(line)?.[1] ?? ''
    states.set(`${label('proxy')}/${label('server')}`, label('state'))
  }
  return states
}

/** The states of one server in every proxy that has it. */
export function statesOf(states: ReadonlyMap<string, string>, server: string): string[] {
  return [...states].filter(([name]) => name.endsWith(`/${server}`)).map(([, state]) => state)
}
