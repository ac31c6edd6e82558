import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { nftablesFor } from '../../../src/platform/nftables.ts'
import { roleNames } from '../../../src/platform/schema.ts'
import { platform } from '../../support/first-boot/node.ts'
import { prelude } from '../../support/network-namespaces.ts'

// A machine with a real systemd-networkd, and a real radvd and DHCPv6 server beside it, in namespaces.
const linkSettings = join(import.meta.dirname, '../../../images/common/tree/usr/lib/seeder/link-settings')

const network = `
space router
cable eth0 router far0
# As the driver of a virtio card with host_mtu does.
[ -z "$MTU" ] || ip link set eth0 mtu "$MTU"
inside router sysctl -qw net.ipv6.conf.all.forwarding=1
inside router ip address add fd00:1::1/64 dev far0 nodad
nft -f - <<'END'
table ip6 seen { chain arriving { type filter hook prerouting priority raw; icmpv6 type nd-router-advert counter; }; }
END
[ -z "$RULES" ] || nft -f "$RULES"
# Its own files and run folder, and no udev that it would wait for.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/systemd/network
mount -t sysfs -o ro sysfs /sys
mkdir -p /run/systemd
# As cloud-init writes it.
printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=%s\\n[Address]\\nAddress=10.0.0.11/26\\n' "$DHCP" >/etc/systemd/network/10-cloud-init-eth0.network
[ -z "$SETTINGS" ] || "$SETTINGS"
cat >/run/radvd.conf <<'END'
interface far0 {
  AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;
  prefix fd00:1::/64 { };
  RDNSS fd00:1::53 { };
};
END
/usr/lib/systemd/systemd-networkd >/run/networkd.log 2>&1 & spaces[networkd]=$!
`

const advertised = `
inside router radvd --nodaemon --logmethod=none --config=/run/radvd.conf --pidfile=/run/radvd.pid & spaces[radvd]=$!
# The first one has been dealt with when the third is there: seconds lie between them.
until nft list table ip6 seen | grep -Eq 'packets ([3-9]|[1-9][0-9])'; do sleep 0.1; done
ip -4 -o address show dev eth0 | grep -q 10.0.0.11
ip -6 route show default
ip -6 -o address show dev eth0 scope global
`

const leased = `
inside router dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=far0 --bind-interfaces \\
  --dhcp-range=fd00:1::100,fd00:1::100,64,1h --dhcp-leasefile=/run/leases >/run/dnsmasq.log 2>&1 & spaces[dnsmasq]=$!
until ip -6 -o address show dev eth0 scope global | grep -q fd00:1::100; do sleep 0.1; done
ip -6 route show default
echo leased
`

const leasedWithMtu = `
inside router ip address add 10.0.0.1/26 dev far0
inside router dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=far0 --bind-interfaces \\
  --dhcp-range=10.0.0.20,10.0.0.20,1h --dhcp-option-force=option:mtu,1300 --dhcp-leasefile=/run/leases >/run/dnsmasq.log 2>&1 & spaces[dnsmasq]=$!
until ip -4 -o address show dev eth0 | grep -q 10.0.0.20; do sleep 0.1; done
cat /sys/class/net/eth0/mtu
`

interface Setting {
  readonly rules?: string
  readonly settings?: boolean
  readonly dhcp?: string
  readonly mtu?: number
}

/** What the machine has after a part of the script. */
async function after(
  script: string,
  { rules, settings = false, dhcp = 'no', mtu }: Setting,
): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-routes-'))
  try {
    await writeFile(join(folder, 'rules.nft'), rules ?? '')
    const { stdout } = await execa(
      'unshare',
      [
        '--user',
        '--map-root-user',
        '--map-auto',
        '--net',
        '--mount',
        '--pid',
        '--fork',
        '--mount-proc',
        '--kill-child',
        'bash',
        '-euc',
        prelude + network + script,
      ],
      {
        env: {
          RULES: rules === undefined ? '' : join(folder, 'rules.nft'),
          SETTINGS: settings ? linkSettings : '',
          DHCP: dhcp,
          MTU: mtu === undefined ? '' : String(mtu),
        },
      },
    )
    return stdout.split('\n').filter((line) => line !== '')
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('without both, one advertisement gives a machine a route, so that the other tests can fail', async () => {
  const found = await after(advertised, {})
  expect(found.join('\n')).toMatch(/^default .*via fe80:/m)
})

test('systemd-networkd takes no advertisement, whoever wrote the card’s file', async () => {
  expect(await after(advertised, { settings: true })).toEqual([])
})

test.each(roleNames)('the firewall of %s lets none in', async (role) => {
  expect(await after(advertised, { rules: nftablesFor(platform, role) })).toEqual([])
})

test('a card that is to have its address by DHCPv6 gets it, and no route', async () => {
  const rules = nftablesFor(platform, 'haproxy')
  expect(await after(leased, { rules, settings: true, dhcp: 'ipv6' })).toEqual(['leased'])
})

test('a card keeps the MTU that its virtual machine gives it, whatever a DHCP server says', async () => {
  const rules = nftablesFor(platform, 'haproxy')
  expect(await after(leasedWithMtu, { rules, settings: true, dhcp: 'ipv4', mtu: 1400 })).toEqual(['1400'])
})
