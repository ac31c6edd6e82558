import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatNodeEnv, parseNodeEnv } from '../../../../src/guest/node-env.ts'
import { checkValues } from '../../../../src/host/values/role.ts'
import type { RoleName } from '../../../../src/platform/schema.ts'

/** The checks here and those of the images' own first boot have to come to the same, or a clone is made in vain. */
const images = join(import.meta.dirname, '../../../../images')

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder values '))
})
afterAll(() => rm(folder, { recursive: true }))

/**
 * Has the image's own files look at a node.env, as first boot does. What they say about files and about the machine is
 * left out: the checks here do not see those.
 */
async function firstBoot(role: RoleName, text: string, hostname: string): Promise<string[]> {
  const file = join(folder, 'node.env')
  await writeFile(file, text)
  const image = role === 'worker' || role === 'control-plane' ? 'kubernetes-node' : role
  const script = `
    hostname=$3
    uname() { echo "$hostname"; }
    sources=$2
    # What a role sources is found in the image's folder here.
    .() { builtin . "\${1/#\\/usr\\/lib\\/seeder/$sources}"; }
    builtin . "$1/common/tree/usr/lib/seeder/node-env"
    builtin . "$sources/role"
    check_ca() { :; }; check_certificate() { :; }; check_cluster_ca() { :; }; check_etcd_client() { :; }
    check_ranges() { :; }; check_hostname() { :; }
    node_env=/nowhere
    eval "$(sed -n '/^check_ntp/,/^}/p' "$1/common/tree/usr/lib/seeder/first-boot")"
    read_node_env "$4" "\${role_keys[@]}" NTP_SERVERS
    check_ntp
    role_check
    for one in "\${problems[@]}"; do echo "$one"; done`
  const sources = join(images, image, 'tree/usr/lib/seeder')
  const { stdout } = await execa('bash', ['-uc', script, 'first-boot', images, sources, hostname, file], {
    env: { LC_ALL: 'C' },
  })
  return stdout.split('\n').filter((line) => line !== '')
}

/** Problems of the checks here, as first boot prints them. */
function ours(role: RoleName, text: string, hostname: string): string[] {
  const { values, problems } = parseNodeEnv(text)
  const found = problems.length > 0 ? problems : checkValues(role, values, hostname)
  return found.map(({ key, reason }) => `${key}: ${reason}`)
}

const keysOf = (problems: readonly string[]) => [...new Set(problems.map((one) => one.split(': ')[0]))].sort()

const members = 'ETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.130 etcd3=10.0.0.131"'
const found = `ETCD_STATE=new\nETCD_TOKEN=t\n${members}`
const pair = 'VIP="10.0.0.115/26 10.0.0.51/26"\nVRRP_PEERS=10.0.0.66'
const token = 'JOIN_TOKEN=abcdef.0123456789abcdef'
const hash = `JOIN_CA_HASH=sha256:${'a'.repeat(64)}`
const endpoint = 'CONTROL_PLANE_ENDPOINT=10.0.0.115:6443'

const cases: [RoleName, string][] = [
  ['etcd', found],
  ['etcd', `ETCD_STATE=existing\n${members}\nETCD_DATA_DISK=etcd-data\nETCD_QUOTA_MIB=8192`],
  ['etcd', `ETCD_STATE=new\n${members}`],
  ['etcd', `ETCD_STATE=maybe\n${members}`],
  ['etcd', `ETCD_TOKEN=t\n${members}`],
  ['etcd', 'ETCD_STATE=existing'],
  ['etcd', 'ETCD_STATE=existing\nETCD_MEMBERS="etcd2=10.0.0.130"'],
  ['etcd', 'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129 etcd1=10.0.0.130"'],
  ['etcd', 'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.129"'],
  ['etcd', 'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129:2380"'],
  ['etcd', 'ETCD_STATE=existing\nETCD_MEMBERS="etcd1 10.0.0.129"'],
  ['etcd', 'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.329"'],
  ['etcd', `${found}\nETCD_NAME=a_b`],
  ['etcd', `${found}\nETCD_NAME=etcd2`],
  ['etcd', `${found}\nETCD_NAME=`],
  ['etcd', `${found}\nETCD_DATA_DISK=a-label-that-is-too-long`],
  ['etcd', `${found}\nETCD_QUOTA_MIB=10`],
  ['etcd', `${found}\nETCD_QUOTA_MIB=010`],
  ['etcd', `${found}\nETCD_SNAPSHOT_KEEP=-1\nETCD_COMPACTION_HOURS=721`],
  ['etcd', `${found}\nETCD_HEARTBEAT_MS=500`],
  ['etcd', `${found}\nETCD_HEARTBEAT_MS=5\nETCD_ELECTION_MS=x`],
  ['etcd', 'ETCD_STATE=new\nETCD_TOKEN="a b"\nETCD_MEMBERS="etcd1=10.0.0.129"'],
  ['etcd', `${found}\nAPI_BACKENDS=cp1=10.0.0.66`],
  ['etcd', `${found}\nNTP_SERVERS="0.pool.ntp.org 10.0.0.1"`],
  ['etcd', `${found}\nNTP_SERVERS="ntp..org 10.0.0.256 300.1"`],
  ['haproxy', pair],
  ['haproxy', 'VIP=10.0.0.115/26'],
  ['haproxy', 'VRRP_PEERS=10.0.0.66'],
  ['haproxy', 'VIP=10.0.0.115\nVRRP_PEERS=10.0.0.66'],
  ['haproxy', 'VIP=10.0.0.127/26\nVRRP_PEERS=10.0.0.66'],
  ['haproxy', 'VIP=10.0.0.64/26\nVRRP_PEERS=10.0.0.66'],
  ['haproxy', 'VIP=10.0.0.115/7\nVRRP_PEERS=10.0.0.66'],
  ['haproxy', 'VIP=10.0.0.115/31\nVRRP_PEERS=10.0.0.66'],
  ['haproxy', 'VIP="10.0.0.115/26 10.0.0.115/24"\nVRRP_PEERS=10.0.0.66'],
  ['haproxy', 'VIP=10.0.0.115/26\nVRRP_PEERS="10.0.0.6 10.0.0.666"'],
  ['haproxy', `${pair}\nVRRP_PRIORITY=255\nVRRP_ROUTER_ID=0`],
  ['haproxy', `${pair}\nVRRP_PRIORITY=254\nVRRP_ROUTER_ID=255`],
  ['haproxy', 'NODEPORTS="30080 30443"\nNODEPORT_BACKENDS="w1=10.0.0.70"'],
  ['haproxy', 'NODEPORTS="30080 30080"\nNODEPORT_BACKENDS="w1=10.0.0.70"'],
  ['haproxy', 'NODEPORTS="22 6443 8405 0 65536 x"\nNODEPORT_BACKENDS="w1=10.0.0.70"'],
  ['haproxy', 'NODEPORTS=30080'],
  ['haproxy', 'NODEPORT_BACKENDS="w1=10.0.0.70"\nNODEPORT_CHECK=70000'],
  ['haproxy', 'API_BACKENDS="cp1=10.0.0.66 cp2=10.0.0.67:8443"\nAPI_VERIFY_HOST=kubernetes'],
  ['haproxy', 'API_BACKENDS="cp1=10.0.0.66:0 cp2=10.0.0.67:x cp3=:6443"'],
  ['haproxy', 'API_BACKENDS="cp1=10.0.0.66 cp2=10.0.0.66:6443"'],
  ['haproxy', 'API_VERIFY_HOST=-x'],
  ['haproxy', 'API_BACKENDS=cp1=127.0.0.1'],
  ['worker', 'NODE_ROLE=worker\nNODE_ADDRESS=10.0.0.70'],
  ['worker', `NODE_ROLE=worker\nBOOTSTRAP=join\n${endpoint}\n${token}\n${hash}`],
  ['worker', `NODE_ROLE=worker\nBOOTSTRAP=join\n${endpoint}`],
  ['worker', `NODE_ROLE=worker\nBOOTSTRAP=init\n${endpoint}`],
  ['worker', `NODE_ROLE=worker\n${token}\n${hash}`],
  [
    'worker',
    `NODE_ROLE=worker\nBOOTSTRAP=join\n${endpoint}\n${token}\n${hash}\nCERTIFICATE_KEY=${'0'.repeat(64)}`,
  ],
  ['worker', `NODE_ROLE=worker\nBOOTSTRAP=join\n${endpoint}\nJOIN_TOKEN=short\nJOIN_CA_HASH=md5:1`],
  ['worker', `NODE_ROLE=worker\nBOOTSTRAP=later`],
  ['worker', `NODE_ROLE=worker\nCONTROL_PLANE_ENDPOINT=API.example.org:6443`],
  ['worker', `NODE_ROLE=worker\nCONTROL_PLANE_ENDPOINT=api.example.org:6443`],
  ['worker', `NODE_ROLE=worker\nCONTROL_PLANE_ENDPOINT=10.0.0.115`],
  ['worker', `NODE_ROLE=worker\nCONTROL_PLANE_ENDPOINT=10.0.0.115:99999`],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nBOOTSTRAP=init\n${endpoint}\nETCD_ENDPOINTS="10.0.0.129 10.0.0.130"\n${token}`,
  ],
  ['control-plane', `NODE_ROLE=control-plane\nBOOTSTRAP=init\n${endpoint}`],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nBOOTSTRAP=init\n${endpoint}\nETCD_ENDPOINTS="10.0.0.129 10.0.0.129 x"`,
  ],
  ['control-plane', `NODE_ROLE=control-plane\nBOOTSTRAP=join\n${endpoint}\n${token}\n${hash}`],
  ['control-plane', `NODE_ROLE=control-plane\nPOD_CIDR=10.32.0.0/12\nSERVICE_CIDR=10.96.0.0/12`],
  ['control-plane', `NODE_ROLE=control-plane\nPOD_CIDR=10.32.0.1/12\nSERVICE_CIDR=10.96.0.0/11`],
  ['control-plane', `NODE_ROLE=control-plane\nKUBE_PROXY_MODE=ipvs\nCLUSTER_NAME=Prod`],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nCERTIFICATE_KEY=xyz\nBOOTSTRAP=join\n${endpoint}\n${token}\n${hash}`,
  ],
  ['etcd', `${found}\n export X=1`],
  ['etcd', `${found}\nETCD_NAME="a\\"b"`],
  ['etcd', `${found}\nETCD_NAME=$(reboot)`],
  ['etcd', `${found}\nETCD_TOKEN=ü`],
  ['etcd', `${found}\nETCD_TOKEN=u`],
  ['etcd', `# a comment\n; another\n\n  \n${found}\n`],
  ['etcd', `ETCD_STATE='new'\nETCD_TOKEN="  t  "\n${members}  `],
]

describe('the values of a node', () => {
  it.each(cases)('of a role %s are judged as first boot does: %s', async (role, text) => {
    const theirs = await firstBoot(role, text, 'etcd1')
    expect(keysOf(ours(role, text, 'etcd1'))).toEqual(keysOf(theirs))
  })

  it('come back from the file that is written with them', () => {
    const values = {
      A: '1',
      B: 'two words',
      C: '10.0.0.1/26',
      D: 'x=10.0.0.1',
      E: '',
      F: '#5',
      G: '$(reboot)',
    }
    const { E: _empty, ...others } = values
    expect(parseNodeEnv(formatNodeEnv(values))).toEqual({ values: others, problems: [] })
  })

  it('are never repeated when they are secret, or when a line cannot be read', () => {
    const bad = ours(
      'worker',
      'NODE_ROLE=worker\nBOOTSTRAP=join\nJOIN_TOKEN=hunter2\nCERTIFICATE_KEY=hunter2',
      'w1',
    )
    const line = ours('worker', 'export JOIN_TOKEN=hunter2', 'w1')
    expect([...bad, ...line].join('\n')).toContain('JOIN_TOKEN: is not a bootstrap token')
    expect([...bad, ...line].join('\n')).not.toContain('hunter2')
  })
})
