import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

/** The address that a network card gets. */
export interface Lease {
  readonly mac: string
  readonly address: string
  readonly netmask: string
  /** The subnet's broadcast address, which also decides through which bridge an answer leaves. */
  readonly broadcast: string
  readonly server: string
  /** The default gateway. */
  readonly router: string
}

/** A client's message. */
export interface DhcpRequest {
  readonly type: 'discover' | 'request'
  readonly xid: number
  readonly mac: string
  /** Option 61 in hexadecimal: from systemd-networkd it holds the node's DUID. */
  readonly clientId: string
}

const COOKIE = 0x63825363
const OPTIONS_OFFSET = 240

/** Reads a DHCP message of a client (RFC 2131); undefined when it needs no answer. */
export function parseRequest(packet: Buffer): DhcpRequest | undefined {
  if (packet.length < OPTIONS_OFFSET || packet[0] !== 1 || packet.readUInt32BE(236) !== COOKIE)
    return undefined
  const options = new Map<number, Buffer>()
  for (let offset = OPTIONS_OFFSET; offset < packet.length && packet[offset] !== 255; ) {
    const code = packet[offset] ?? 0
    const length = code === 0 ? -1 : (packet[offset + 1] ?? 0)
    if (length >= 0) options.set(code, packet.subarray(offset + 2, offset + 2 + length))
    offset += 2 + length
  }
  const type = ({ 1: 'discover', 3: 'request' } as const)[options.get(53)?.[0] ?? 0]
  if (!type) return undefined
  const mac = [...packet.subarray(28, 34)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
  return { type, xid: packet.readUInt32BE(4), mac, clientId: options.get(61)?.toString('hex') ?? '' }
}

/** The answer to a client's message: an offer or an acknowledgement of its lease. */
export function leaseAnswer(request: DhcpRequest, lease: Lease): Buffer {
  const bytes = (address: string) => address.split('.').map(Number)
  const packet = Buffer.alloc(OPTIONS_OFFSET)
  packet.set([2, 1, 6, 0])
  packet.writeUInt32BE(request.xid, 4)
  packet.set(bytes(lease.address), 16)
  packet.set(bytes(lease.server), 20)
  packet.set(Buffer.from(lease.mac.replaceAll(':', ''), 'hex'), 28)
  packet.writeUInt32BE(COOKIE, 236)
  const hour = [0, 0, 14, 16]
  const options = [
    [53, 1, request.type === 'discover' ? 2 : 5],
    [54, 4, ...bytes(lease.server), 51, 4, ...hour, 1, 4, ...bytes(lease.netmask)],
    [3, 4, ...bytes(lease.router), 255],
  ]
  return Buffer.concat([packet, Buffer.from(options.flat())])
}

/** Hands out fixed leases, as a home network's router would, and records the clients' identifiers. */
export class DhcpServer {
  /** Client identifiers by hardware address. */
  readonly clients = new Map<string, string>()
  private readonly leases: ReadonlyMap<string, Lease>
  private readonly socket: Socket = createSocket('udp4')

  constructor(leases: readonly Lease[]) {
    this.leases = new Map(leases.map((lease) => [lease.mac, lease]))
    this.socket.on('message', (packet) => this.answer(packet))
  }

  async start(): Promise<void> {
    this.socket.bind(67)
    await once(this.socket, 'listening')
    this.socket.setBroadcast(true)
  }

  async stop(): Promise<void> {
    this.socket.close()
    await once(this.socket, 'close')
  }

  private answer(packet: Buffer): void {
    const request = parseRequest(packet)
    const lease = request && this.leases.get(request.mac)
    if (!request || !lease) return
    this.clients.set(request.mac, request.clientId)
    this.socket.send(leaseAnswer(request, lease), 68, lease.broadcast)
  }
}
