import { expect } from './checks.ts'
import type { Identity } from './guest-facts.ts'
import type { TestBed } from './test-bed.ts'

/**
 * Clones of one image have nothing in common that says who they are; where they ask for addresses by DHCP, not there
 * either.
 * @throws SeederError with what two of them share
 */
export function compareIdentities(identities: readonly Identity[], duids: readonly string[]): string {
  for (const key of ['hostname', 'machineId', 'randomSeed'] as const) {
    const shared = repeated(identities.map((identity) => identity[key]))
    expect(shared === undefined, `two of them have the same ${key}: ${shared}`)
  }
  const key = repeated(identities.flatMap(({ hostKeys }) => hostKeys))
  expect(key === undefined, `two of them have the ssh host key ${key}`)
  const duid = repeated(duids)
  expect(duid === undefined, `two of them call themselves ${duid} to DHCP servers`)
  const keys = identities[0]?.hostKeys.length ?? 0
  return `${identities.length} different machine ids, ${keys} host keys each, random seeds${duids.length > 0 ? ', DUIDs' : ''} and host names`
}

/**
 * How the clones with these names called themselves to the DHCP server.
 * @throws SeederError when one of them never asked
 */
export function duidsOf(stage: Pick<TestBed, 'site' | 'dhcp'>, hostnames: readonly string[]): string[] {
  return hostnames.map((hostname) => {
    const macs = stage.site.machines
      .filter((seat) => seat.hostname === hostname)
      .flatMap(({ nics }) => nics.map(({ mac }) => mac))
    const [id] = macs.flatMap((mac) => stage.dhcp.clients.get(mac) ?? [])
    expect(id !== undefined, `${hostname} never asked for an address by DHCP`)
    return duid(id)
  })
}

/** The DUID in a DHCP client identifier of type 255 (RFC 4361): it follows the card's own four bytes. */
function duid(clientId: string): string {
  return clientId.startsWith('ff') ? clientId.slice(10) : clientId
}

function repeated(values: readonly string[]): string | undefined {
  return values.find((value, at) => values.indexOf(value) !== at)
}
