import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { prelude } from '../../support/network-namespaces.ts'

/**
 * Routes of a machine with a real systemd-networkd: eth0 has a static address; eth2 and eth3 have theirs from real DHCP servers
 * that give routers, as home routers do. Behind each router is a client in another network.
 */
const linkSettings = join(import.meta.dirname, '../../../images/common/tree/usr/lib/seeder/link-settings')

const network = `
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/systemd/network
mount -t sysfs -o ro sysfs /sys
mkdir -p /run/systemd /run/seeder
space front; space home; space public
cable eth0 front farfront; cable eth2 home farhome; cable eth3 public farpublic
inside front ip address add 10.0.0.62/26 dev farfront
inside home ip address add 192.168.3.1/24 dev farhome; inside home ip address add 172.16.3.9/32 dev lo
inside public ip address add 192.168.1.1/24 dev farpublic; inside public ip address add 172.16.1.9/32 dev lo
inside front ip address add 172.16.0.9/32 dev lo
lend() {
  inside $1 dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=far$1 --bind-interfaces \\
    --dhcp-range=$2.100,$2.100,1h --dhcp-leasefile=/run/leases-$1 >/run/dnsmasq-$1.log 2>&1 & spaces[lend-$1]=$!
}
lend home 192.168.3; lend public 192.168.1
# As cloud-init writes them.
for card in 0 2 3; do
  [ $card = 0 ] && dhcp=no || dhcp=ipv4
  printf '[Match]\\nName=eth%s\\n[Network]\\nDHCP=%s\\n' $card $dhcp >/etc/systemd/network/10-cloud-init-eth$card.network
done
printf '[Address]\\nAddress=10.0.0.11/26\\n' >>/etc/systemd/network/10-cloud-init-eth0.network
sed "s#/etc/seeder#$FOLDER#g" "$SETTINGS" >/run/link-settings
bash /run/link-settings
/usr/lib/systemd/systemd-networkd >/run/networkd.log 2>&1 & spaces[networkd]=$!
has() { ip -4 -o address show dev $1 | grep -qF " $2/"; }
until has eth0 10.0.0.11 && has eth2 192.168.3.100 && has eth3 192.168.1.100; do sleep 0.1; done
until ip -4 route show default | grep -q .; do sleep 0.1; done
sleep 1
`

const questions = `
ip -4 route show default | sed 's/ proto.*//'
reaches() { ping -c 1 -W 1 -I $1 $2 >/dev/null && echo "$1 reaches $2" || echo "$1 does not reach $2"; }
reaches 10.0.0.11 172.16.0.9
reaches 192.168.3.100 172.16.3.9
reaches 192.168.1.100 172.16.1.9
reaches 192.168.1.100 192.168.1.1
`

/** What a machine prints whose folder has these files. */
async function machine(files: Record<string, string>, script: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-default-route-'))
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const namespaces = ['--user', '--map-root-user', '--map-auto', '--net', '--mount', '--pid', '--fork']
    const argv = [...namespaces, '--mount-proc', '--kill-child', 'bash', '-euc', prelude + network + script]
    const { stdout } = await execa('unshare', argv, { env: { FOLDER: folder, SETTINGS: linkSettings } })
    return stdout.split('\n').filter((line) => line !== '')
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('without routes, two DHCP zones give two default routes of one metric, and replies leave by the wrong card', async () => {
  const found = await machine({}, questions)
  expect(found.filter((line) => line.startsWith('default'))).toHaveLength(2)
  expect(found.filter((line) => line.includes('does not reach'))).not.toEqual([])
})

test.each([
  ['eth2', 'default via 192.168.3.1 dev eth2'],
  ['eth3', 'default via 192.168.1.1 dev eth3'],
])('with the default route on %s, each reply leaves by the card that it came in by', async (card, route) => {
  const line = (name: string, rest: string) => `${name} ${rest} ${name === card ? 'yes' : 'no'}\n`
  const routes = [
    line('eth0', '10.0.0.0/26 10.0.0.62'),
    line('eth2', '192.168.3.0/24 _dhcp4'),
    line('eth3', '192.168.1.0/24 _dhcp4'),
  ]
  expect(await machine({ routes: routes.join('') }, questions)).toEqual([
    route,
    '10.0.0.11 reaches 172.16.0.9',
    '192.168.3.100 reaches 172.16.3.9',
    '192.168.1.100 reaches 172.16.1.9',
    '192.168.1.100 reaches 192.168.1.1',
  ])
})

// A machine of a zone without a gateway, with a rule as kube-proxy's for a ClusterIP.
const clusterIp = `
ip link set eth2 down; ip link set eth3 down
ip -4 route show default
nft -f - <<'END'
table ip nat { chain output { type nat hook output priority -100; ip daddr 10.96.0.1 tcp dport 443 dnat to 10.0.0.62:6443; }; }
END
inside front bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>/dev/null || true
said=$(timeout 2 bash -c 'exec 3<>/dev/tcp/10.96.0.1/443' 2>&1) || true
case $said in *unreachable*) echo unreachable ;; *refused*) echo arrived ;; *) echo "$said" ;; esac
`

test('a connection to a ClusterIP needs a route, which a worker without a default route gets', async () => {
  const onlyEth2 = 'eth0 10.0.0.0/26 - no\neth2 192.168.3.0/24 _dhcp4 yes\neth3 192.168.1.0/24 _dhcp4 no\n'
  expect(await machine({ routes: onlyEth2 }, clusterIp)).toEqual(['unreachable'])
  const files = { routes: onlyEth2, 'service-route': 'eth0 10.96.0.0/12\n' }
  expect(await machine(files, clusterIp)).toEqual(['arrived'])
})
