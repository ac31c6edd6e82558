import { z } from 'zod'
import { SeederError } from '../report/error.ts'
import { foreignLine } from '../report/text-schemas.ts'
import type { GuestAgent } from '../vm/agent.ts'
import { expect } from './checks.ts'
import type { TestBed } from './test-bed.ts'

/** What no two clones of an image may share. */
const identitySchema = z.object({
  hostname: foreignLine.min(1),
  machineId: foreignLine.regex(/^[0-9a-f]{32}$/),
  /** Public ssh host keys, one line per key. */
  hostKeys: z.array(foreignLine.regex(/^\S+ \S+$/)).min(1),
  randomSeed: foreignLine.regex(/^[0-9a-f]{64}$/),
  /** The UUID of the partition that the firmware starts. */
  bootPartition: foreignLine.regex(/^[0-9a-f-]{36}$/),
})
export type Identity = z.output<typeof identitySchema>

// The random seed is written at shutdown and at boot; only its digest leaves the guest.
const IDENTITY_SCRIPT = `
echo "hostname=$(cat /proc/sys/kernel/hostname)"
echo "machineId=$(cat /etc/machine-id)"
shopt -s nullglob
for key in /etc/ssh/ssh_host_*_key.pub; do echo "hostKey=$(cut -d' ' -f1,2 "$key")"; done
echo "randomSeed=$(sha256sum /var/lib/systemd/random-seed | cut -d' ' -f1)"
for part in "/sys/dev/block/$(mountpoint -d /)"/../*/uevent; do
  if grep -qx PARTNAME=esp "$part"; then
    device=/dev/$(sed -n 's/^DEVNAME=//p' "$part")
    echo "bootPartition=$(blkid --probe --match-tag PART_ENTRY_UUID --output value "$device")"
  fi
done
`

/**
 * Reads a guest's identity.
 * @throws SeederError when a part of it is missing
 */
export async function readIdentity(agent: GuestAgent): Promise<Identity> {
  const lines = (await agent.shell(IDENTITY_SCRIPT)).trim().split('\n')
  const values = (key: string) =>
    lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1))
  const identity = identitySchema.safeParse({
    hostname: values('hostname')[0],
    machineId: values('machineId')[0],
    hostKeys: values('hostKey'),
    randomSeed: values('randomSeed')[0],
    bootPartition: values('bootPartition')[0],
  })
  if (identity.success) return identity.data
  const missing = identity.error.issues.map(({ path }) => path[0]).join(', ')
  throw new SeederError(`read the identity of a guest; it has no valid ${missing}: ${lines.join('; ')}`)
}

/**
 * Compares the identities of clones, and their DUIDs where they use DHCP.
 * @throws SeederError with what two of them share
 */
export function compareIdentities(identities: readonly Identity[], duids: readonly string[] = []): string {
  for (const key of ['hostname', 'machineId', 'randomSeed', 'bootPartition'] as const) {
    const shared = repeated(identities.map((identity) => identity[key]))
    expect(shared === undefined, `two clones have the same ${key}: ${shared}`)
  }
  const key = repeated(identities.flatMap(({ hostKeys }) => hostKeys))
  expect(key === undefined, `two clones have the ssh host key ${key}`)
  const duid = repeated(duids)
  expect(duid === undefined, `two clones use the DUID ${duid}`)
  const keys = identities[0]?.hostKeys.length ?? 0
  return `${identities.length} different machine ids, ${keys} host keys each, boot partitions, random seeds${duids.length > 0 ? ', DUIDs' : ''} and host names`
}

/**
 * The DUIDs that the clones with these names sent to the DHCP server.
 * @throws SeederError when a clone sent no request
 */
export function duidsOf(bed: Pick<TestBed, 'site' | 'dhcp'>, hostnames: readonly string[]): string[] {
  return hostnames.map((hostname) => {
    const macs = bed.site.machines
      .filter((machine) => machine.hostname === hostname)
      .flatMap(({ nics }) => nics.map(({ mac }) => mac))
    const [id] = macs.flatMap((mac) => bed.dhcp.clients.get(mac) ?? [])
    expect(id !== undefined, `${hostname} never requested an address by DHCP`)
    return duid(id)
  })
}

/** The DUID in a DHCP client identifier of type 255 (RFC 4361), where it follows the card's own four bytes. */
function duid(clientId: string): string {
  return clientId.startsWith('ff') ? clientId.slice(10) : clientId
}

function repeated(values: readonly string[]): string | undefined {
  return values.find((value, index) => values.indexOf(value) !== index)
}
