import type { Platform } from '../../platform/schema.ts'
import { expect } from '../checks.ts'
import { checkPorts, expectedAnswer, portsToProbe } from '../port-matrix.ts'
import type { PortAnswer } from '../probe.ts'
import type { PlacedClone } from '../test-bed.ts'
import type { KubernetesTestBed } from './test-bed.ts'

/** The TCP ports on which a node listens. */
async function servingPorts({ clone }: PlacedClone): Promise<number[]> {
  return exposedPorts(await clone.agent.shell('ss --no-header --listening --tcp --numeric'))
}

/** Probes the whole matrix of both roles from every zone. */
export async function checkMatrix(bed: KubernetesTestBed): Promise<string> {
  const results: string[] = []
  for (const node of [bed.controlPlane, bed.worker]) {
    const serving = { tcp: await servingPorts(node), udp: [] }
    results.push(`${node.machine.role}: ${await checkPorts(bed, node, serving)}`)
  }
  return results.join('; ')
}

// The exit status of `timeout` is 124 when there was no answer.
const PROBE_SCRIPT = `
probe() {
    timeout 6 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null && code=0 || code=$?
    echo "$2 $code"
}
for port in "\${@:2}"; do probe "$1" "$port" & done
wait
`

/** Probes the TCP part of a node's matrix from another clone, a real machine of its role. */
export async function checkFromClone(
  platform: Platform,
  from: PlacedClone,
  to: PlacedClone,
  zone: string,
): Promise<string> {
  const [own, target] = [from, to].map(({ machine }) => machine.nics.find((card) => card.zone === zone)?.ip)
  expect(own !== undefined && target !== undefined, `they do not both have a card in ${zone}`)
  const { tcp } = portsToProbe(platform)
  const serving = await servingPorts(to)
  const result = await from.clone.agent.exec(
    ['/bin/bash', '-c', PROBE_SCRIPT, 'probe', target, ...tcp.map(String)],
    { timeoutMs: 120_000 },
  )
  const answers = parseAttempts(result.stdout)
  const wrong = tcp.flatMap((port) => {
    const packet = { from: own, port, protocol: 'tcp' } as const
    const expected = expectedAnswer(platform, to.machine.role, packet, serving)
    const answer = answers.get(port)
    return answer === expected ? [] : [`${port} is ${answer ?? 'not probed'}, expected ${expected}`]
  })
  expect(
    wrong.length === 0,
    `${from.machine.hostname} to ${to.machine.hostname} in ${zone}: ${wrong.join('; ')}`,
  )
  return `${from.machine.hostname} to ${to.machine.hostname} in ${zone}: ${tcp.length} ports`
}

/** Parses lines of a port and the exit status of the attempt to connect to it. */
export function parseAttempts(output: string): Map<number, PortAnswer> {
  return new Map(
    output.split('\n').flatMap((line): [number, PortAnswer][] => {
      const [port, code] = line.split(' ').map(Number)
      if (!port || code === undefined) return []
      return [[port, code === 0 ? 'open' : code === 124 ? 'silent' : 'refused']]
    }),
  )
}

/** Ports in the output of `ss --listening --tcp --numeric`, of any address. */
export function listeningPorts(output: string): number[] {
  return sockets(output).map(({ port }) => port)
}

/** Ports that other machines can reach: those of addresses other than loopback. */
export function exposedPorts(output: string): number[] {
  const exposed = sockets(output).filter(({ address }) => !/^(127\.|\[::1\]|\[::ffff:127\.)/.test(address))
  return [...new Set(exposed.map(({ port }) => port))]
}

function sockets(output: string): { address: string; port: number }[] {
  return output.split('\n').flatMap((line) => {
    // The fields are the state, two queues, the local and the peer's address.
    const local = line.trim().split(/\s+/)[3]
    const colon = local?.lastIndexOf(':') ?? -1
    return local === undefined || colon < 0
      ? []
      : [{ address: local.slice(0, colon), port: Number(local.slice(colon + 1)) }]
  })
}
