/** Ports in the output of `ss --listening --tcp --numeric`, of any address. */
export function listeningPorts(output: string): number[] {
  return sockets(output).map(({ port }) => port)
}

/** Ports that others can reach: not those on loopback addresses. */
export function exposedPorts(output: string): number[] {
  const exposed = sockets(output).filter(({ address }) => !/^(127\.|\[::1\]|\[::ffff:127\.)/.test(address))
  return [...new Set(exposed.map(({ port }) => port))]
}

function sockets(output: string): { address: string; port: number }[] {
  return output.split('\n').flatMap((line) => {
    // State, two queues, own address, peer's.
    const own = line.trim().split(/\s+/)[3]
    const at = own?.lastIndexOf(':') ?? -1
    return own === undefined || at < 0 ? [] : [{ address: own.slice(0, at), port: Number(own.slice(at + 1)) }]
  })
}
