import { z } from 'zod'
import { anyJson } from '../../files/json.ts'
import type { Host } from '../commands.ts'

const neighbours = z.array(
  z.object({ dst: z.string(), lladdr: z.string().optional(), state: z.array(z.string()).default([]) }),
)

/**
 * Which of these addresses somebody has, although nobody is known to: a machine that is not of this cluster. The host
 * sends its requests on the bridge, where it needs no address of its own: it is enough that ARP finds somebody. Who does not answer
 * within a second may still be there.
 */
export async function answeringAddresses(
  host: Host,
  places: readonly { readonly bridge: string; readonly address: string }[],
): Promise<string[]> {
  const answered = await Promise.all(
    places.map(async ({ bridge, address }) => {
      // What the host remembers is used without another request, and for some seconds it stays unclear whether it holds.
      await host.run(['ip', 'neighbour', 'flush', 'to', address, 'dev', bridge])
      const { code } = await host.run(['ping', '-n', '-q', '-c', '1', '-W', '1', '-I', bridge, address])
      return code === 0 || (await isReachable(host, bridge, address))
    }),
  )
  return places.filter((_, index) => answered[index]).map(({ address }) => address)
}

async function isReachable(host: Host, bridge: string, address: string): Promise<boolean> {
  const { stdout } = await host.run(['ip', '-json', 'neighbour', 'show', 'to', address, 'dev', bridge])
  const found = neighbours.safeParse(anyJson(stdout)).data ?? []
  // What the host merely remembers of somebody who left is another state.
  return found.some(({ state }) => state.some((one) => one === 'REACHABLE' || one === 'PERMANENT'))
}
