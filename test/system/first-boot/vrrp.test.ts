import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nftablesFor, vrrpPeersText } from '../../../src/platform/nftables.ts'
import { Node, platform } from '../../support/first-boot/node.ts'
import { prelude } from '../../support/network-namespaces.ts'

// Two load balancers with the configuration that first boot writes, a real keepalived in each, and a third machine in
// their network that wants the VIP with the highest priority there is.
const pair = { lb1: '10.0.0.11', lb2: '10.0.0.12' }
const worker = '10.0.0.45'
const vip = '10.0.0.51'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-vrrp-'))
  for (const [name, own] of Object.entries(pair)) {
    const peer = Object.values(pair).find((address) => address !== own) ?? ''
    await writeFile(join(folder, `${name}.conf`), await configurationOf(own, peer))
    await writeFile(join(folder, `${name}.nft`), nftablesFor(platform, 'haproxy') + vrrpPeersText([peer]))
  }
  await writeFile(join(folder, 'alone.conf'), await configurationOf(pair.lb1, 'none'))
  await writeFile(join(folder, 'alone.nft'), nftablesFor(platform, 'haproxy'))
  const peers = Object.values(pair).join('; ')
  await writeFile(
    join(folder, 'worker.conf'),
    `vrrp_instance vips {
      state MASTER; interface eth0; virtual_router_id 51; priority 255; advert_int 1
      unicast_src_ip ${worker}
      unicast_peer { ${peers} }
      virtual_ipaddress { ${vip}/26 dev eth0 }
    }
`
      .replaceAll('; ', '\n')
      .replaceAll('{ ', '{\n')
      .replaceAll(' }', '\n}'),
  )
})
afterAll(() => rm(folder, { recursive: true }))

/** What first boot writes, but for the question whether HAProxy answers, of which there is none here. */
async function configurationOf(own: string, peer: string): Promise<string> {
  const node = await Node.make()
  try {
    await node.write('/var/addresses', `2: eth0    inet ${own}/26 scope global eth0\n`)
    const priority = own === pair.lb1 ? 150 : 100
    await node.write('/etc/seeder/node.env', `VIP=${vip}/26\nVRRP_PEERS=${peer}\nVRRP_PRIORITY=${priority}\n`)
    expect((await node.boot()).status.state).toBe('ready')
    const text = (await node.read('/etc/keepalived/keepalived.conf')) ?? ''
    return text.replace(/vrrp_script [^}]*}/, '').replace(/ *track_script {[^}]*}/, '')
  } finally {
    await node.dispose()
  }
}

// Every advertisement of the worker's that reaches lb1 is counted before any firewall sees it.
const network = `
ip link add lan type bridge; ip link set lan up
for name in lb1 lb2 worker; do
  space $name
  cable $name $name eth0
  ip link set $name master lan
done
inside lb1 ip address add ${pair.lb1}/26 dev eth0
inside lb2 ip address add ${pair.lb2}/26 dev eth0
inside worker ip address add ${worker}/26 dev eth0
inside lb1 nft -f - <<'END'
table ip seen { chain arriving { type filter hook prerouting priority raw; ip saddr ${worker} meta l4proto 112 counter; }; }
END
for name in lb1 lb2; do
  [ -z "$FIREWALL" ] || inside $name nft -f "$FOLDER/$name.nft"
  [ -n "$CHECKED" ] || sed -i /check_unicast_src/d "$FOLDER/$name.conf"
done
keep() {
  # Without the shell of a function between, so that the number is keepalived's own and the trap ends it.
  nsenter --net=/proc/\${spaces[$1]}/ns/net keepalived --dont-fork --log-console --vrrp --use-file="$FOLDER/$1.conf" \\
    --pid="$FOLDER/$1.pid" --vrrp_pid="$FOLDER/$1.vrrp" >"$FOLDER/$1.log" 2>&1 &
  spaces[keepalived-$1]=$!
}
holds() { inside $1 ip -o address show dev eth0 | grep -qF ' ${vip}/'; }
heard() { inside lb1 nft list table ip seen | grep -Eq 'packets ([6-9]|[1-9][0-9])'; }
if [ -n "$ALONE" ]; then
  for kind in conf nft; do cp "$FOLDER/alone.$kind" "$FOLDER/lb1.$kind"; done
  inside lb1 nft -f "$FOLDER/lb1.nft"
fi
keep lb1; until holds lb1; do sleep 0.1; done
[ -n "$ALONE" ] || keep lb2
keep worker; until heard; do sleep 0.1; done
for name in lb1 lb2; do ! holds $name || echo $name; done
`

/** Which of the pair holds the VIP when the worker has sent six advertisements. */
async function holders(setting: {
  firewall?: boolean
  checked?: boolean
  alone?: boolean
}): Promise<string[]> {
  const copy = await mkdtemp(join(tmpdir(), 'seeder-vrrp-'))
  try {
    await execa('cp', ['-a', `${folder}/.`, copy])
    const { stdout } = await execa(
      'unshare',
      ['--user', '--map-root-user', '--net', 'bash', '-euc', prelude + network],
      {
        env: {
          FOLDER: copy,
          FIREWALL: setting.firewall ? 'yes' : '',
          CHECKED: setting.checked ? 'yes' : '',
          ALONE: setting.alone ? 'yes' : '',
        },
      },
    )
    return stdout.split('\n').filter((line) => line !== '')
  } finally {
    await rm(copy, { recursive: true })
  }
}

test('without both, the worker takes the VIP, so that the other tests can fail', async () => {
  expect(await holders({})).toEqual([])
})

test('keepalived accepts only its peers', async () => {
  expect(await holders({ checked: true })).toEqual(['lb1'])
})

test('the firewall accepts VRRP only from the peers', async () => {
  expect(await holders({ firewall: true })).toEqual(['lb1'])
})

test('a pair with both has one that holds the VIP: its peers do get through', async () => {
  expect(await holders({ firewall: true, checked: true })).toEqual(['lb1'])
})

test('one that is alone holds the VIP, and the firewall lets nobody take it', async () => {
  expect(await holders({ firewall: true, checked: true, alone: true })).toEqual(['lb1'])
})
