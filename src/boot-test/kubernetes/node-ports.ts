import type { Platform } from '../../platform/schema.ts'
import { expect } from '../checks.ts'
import { checkProbes, meantAnswer, portsOf, probesOf } from '../port-matrix.ts'
import type { PortAnswer } from '../probe.ts'
import { exposedPorts } from './listening.ts'
import type { Node, NodeStage } from './test-bed.ts'

/** What listens on a node's own addresses, as the node itself says. */
async function servingPorts({ clone }: Node): Promise<number[]> {
  return exposedPorts(await clone.agent.shell('ss --no-header --listening --tcp --numeric'))
}

/** Probes the whole matrix of both roles, from every zone and as every role that the platform file knows. */
export async function checkMatrix({ platform, site, controlPlane, worker }: NodeStage): Promise<string> {
  const seen: string[] = []
  for (const node of [controlPlane, worker]) {
    const serving = { tcp: await servingPorts(node), udp: [] }
    const probes = probesOf(platform, site, node.seat, portsOf(platform), serving)
    seen.push(`${node.seat.role}: ${await checkProbes(probes)}`)
  }
  return seen.join('; ')
}

// Exit status of `timeout`: 124 when nobody answered.
const probeScript = `
probe() {
    timeout 6 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null && code=0 || code=$?
    echo "$2 $code"
}
for port in "\${@:2}"; do probe "$1" "$port" & done
wait
`

/** Probes the TCP part of a node's matrix from another clone: a real member of the role it comes from. */
export async function checkFromClone(
  platform: Platform,
  from: Node,
  to: Node,
  zone: string,
): Promise<string> {
  const [own, target] = [from, to].map(({ seat }) => seat.nics.find((card) => card.zone === zone)?.ip)
  expect(own !== undefined && target !== undefined, `they do not meet in ${zone}`)
  const { tcp } = portsOf(platform)
  const serving = await servingPorts(to)
  const result = await from.clone.agent.exec(
    ['/bin/bash', '-c', probeScript, 'probe', target, ...tcp.map(String)],
    { timeoutMs: 120_000 },
  )
  const answers = parseProbes(result.stdout)
  const wrong = tcp.flatMap((port) => {
    const meant = meantAnswer(platform, to.seat.role, own, port, 'tcp', serving)
    const answer = answers.get(port)
    return answer === meant ? [] : [`${port} is ${answer ?? 'not asked'}, meant to be ${meant}`]
  })
  expect(wrong.length === 0, `${from.seat.hostname} to ${to.seat.hostname} in ${zone}: ${wrong.join('; ')}`)
  return `${from.seat.hostname} to ${to.seat.hostname} in ${zone}: ${tcp.length} ports`
}

/** Reads lines of a port and the exit status of the attempt to connect to it. */
export function parseProbes(output: string): Map<number, PortAnswer> {
  return new Map(
    output.split('\n').flatMap((line): [number, PortAnswer][] => {
      const [port, code] = line.split(' ').map(Number)
      if (!port || code === undefined) return []
      return [[port, code === 0 ? 'open' : code === 124 ? 'silent' : 'refused']]
    }),
  )
}
