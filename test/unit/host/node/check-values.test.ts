import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { formatNodeEnv, parseNodeEnv } from '../../../../src/guest/node-env.ts'
import { checkValues } from '../../../../src/host/node/check-values.ts'
import { roles, secretKeys } from '../../../../src/platform/roles.ts'
import { type RoleName, roleNames } from '../../../../src/platform/schema.ts'
import { checkout } from '../../../support/seeder.ts'

/** The problems of a node.env, as first boot prints them. */
async function problemsOf(role: RoleName, text: string): Promise<string[]> {
  const { values, problems } = parseNodeEnv(text)
  const found = problems.length > 0 ? problems : await checkValues(checkout, role, values, 'etcd1')
  return found.map(({ key, reason }) => `${key}: ${reason}`)
}

const members = 'ETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.130 etcd3=10.0.0.131"'
const found = `ETCD_STATE=new\nETCD_TOKEN=t\n${members}`
const pair = 'VIP="10.0.0.115/26 10.0.0.51/26"\nVRRP_PEERS=10.0.0.66'
const token = 'JOIN_TOKEN=abcdef.0123456789abcdef'
const hash = `JOIN_CA_HASH=sha256:${'a'.repeat(64)}`
const endpoint = 'CONTROL_PLANE_ENDPOINT=10.0.0.115:6443'

const cases: [role: RoleName, text: string, problems: string[]][] = [
  ['etcd', found, []],
  ['etcd', `ETCD_STATE=existing\n${members}\nETCD_DATA_DISK=etcd-data\nETCD_QUOTA_MIB=8192`, []],
  ['etcd', `ETCD_STATE=new\n${members}`, ['ETCD_TOKEN: is not set; a new cluster needs one of its own']],
  ['etcd', `ETCD_STATE=maybe\n${members}`, ['ETCD_STATE: "maybe" is neither "new" nor "existing"']],
  [
    'etcd',
    `ETCD_TOKEN=t\n${members}`,
    ['ETCD_STATE: is not set: "new" for a cluster that is founded, "existing" for one that runs'],
  ],
  ['etcd', 'ETCD_STATE=existing', ['ETCD_MEMBERS: is not set: all members with this one, NAME=ADDRESS']],
  [
    'etcd',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd2=10.0.0.130"',
    ['ETCD_MEMBERS: does not have this member, etcd1; it has: etcd2=10.0.0.130'],
  ],
  [
    'etcd',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129 etcd1=10.0.0.130"',
    ['ETCD_MEMBERS: has etcd1 twice'],
  ],
  [
    'etcd',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.129"',
    ['ETCD_MEMBERS: has the address 10.0.0.129 twice'],
  ],
  [
    'etcd',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129:2380"',
    ['ETCD_MEMBERS: "10.0.0.129:2380" of etcd1 is not an IPv4 address'],
  ],
  [
    'etcd',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1 10.0.0.129"',
    ['ETCD_MEMBERS: "etcd1" is not NAME=ADDRESS', 'ETCD_MEMBERS: "10.0.0.129" is not NAME=ADDRESS'],
  ],
  [
    'etcd',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.329"',
    ['ETCD_MEMBERS: "10.0.0.329" of etcd1 is not an IPv4 address'],
  ],
  [
    'etcd',
    `${found}\nETCD_NAME=a_b`,
    [
      'ETCD_NAME: "a_b" is not a DNS name',
      'ETCD_MEMBERS: does not have this member, a_b; it has: etcd1=10.0.0.129 etcd2=10.0.0.130 etcd3=10.0.0.131',
    ],
  ],
  ['etcd', `${found}\nETCD_NAME=etcd2`, []],
  ['etcd', `${found}\nETCD_NAME=`, []],
  [
    'etcd',
    `${found}\nETCD_DATA_DISK=a-label-that-is-too-long`,
    [
      'ETCD_DATA_DISK: "a-label-that-is-too-long" is not 1 to 16 letters, digits, dots, dashes and underscores',
    ],
  ],
  ['etcd', `${found}\nETCD_QUOTA_MIB=10`, ['ETCD_QUOTA_MIB: "10" is not a number from 256 to 8192']],
  ['etcd', `${found}\nETCD_QUOTA_MIB=010`, ['ETCD_QUOTA_MIB: "010" is not a number from 256 to 8192']],
  [
    'etcd',
    `${found}\nETCD_SNAPSHOT_KEEP=-1\nETCD_COMPACTION_HOURS=721`,
    [
      'ETCD_COMPACTION_HOURS: "721" is not a number from 0 to 720',
      'ETCD_SNAPSHOT_KEEP: "-1" is not a number from 0 to 1000',
    ],
  ],
  [
    'etcd',
    `${found}\nETCD_HEARTBEAT_MS=500`,
    ['ETCD_ELECTION_MS: 1000 is less than five times ETCD_HEARTBEAT_MS, which is 500'],
  ],
  [
    'etcd',
    `${found}\nETCD_HEARTBEAT_MS=5\nETCD_ELECTION_MS=x`,
    [
      'ETCD_HEARTBEAT_MS: "5" is not a number from 10 to 10000',
      'ETCD_ELECTION_MS: "x" is not a number from 50 to 50000',
    ],
  ],
  [
    'etcd',
    'ETCD_STATE=new\nETCD_TOKEN="a b"\nETCD_MEMBERS="etcd1=10.0.0.129"',
    ['ETCD_TOKEN: "a b" is not 1 to 64 letters, digits, dots, dashes and underscores'],
  ],
  [
    'etcd',
    `${found}\nAPI_BACKENDS=cp1=10.0.0.66`,
    [
      'API_BACKENDS: is not a key of this role; it has: ETCD_STATE ETCD_MEMBERS ETCD_NAME ETCD_TOKEN ETCD_DATA_DISK ETCD_QUOTA_MIB ETCD_HEARTBEAT_MS ETCD_ELECTION_MS ETCD_COMPACTION_HOURS ETCD_SNAPSHOT_KEEP NTP_SERVERS ROUTES',
    ],
  ],
  ['etcd', `${found}\nNTP_SERVERS="0.pool.ntp.org 10.0.0.1"`, []],
  [
    'etcd',
    `${found}\nNTP_SERVERS="ntp..org 10.0.0.256 300.1"`,
    [
      'NTP_SERVERS: "ntp..org" is neither a DNS name nor an IPv4 address',
      'NTP_SERVERS: "10.0.0.256" is neither a DNS name nor an IPv4 address',
      'NTP_SERVERS: "300.1" is neither a DNS name nor an IPv4 address',
    ],
  ],
  ['haproxy', pair, []],
  ['haproxy', 'VIP=10.0.0.115/26', ['VIP: is set, but VRRP_PEERS is not']],
  ['haproxy', 'VRRP_PEERS=10.0.0.66', ['VRRP_PEERS: is set, but VIP is not']],
  [
    'haproxy',
    'VIP=10.0.0.115\nVRRP_PEERS=10.0.0.66',
    ['VIP: "10.0.0.115" is not an IPv4 address with the prefix length of its network (8-30)'],
  ],
  [
    'haproxy',
    'VIP=10.0.0.127/26\nVRRP_PEERS=10.0.0.66',
    [`VIP: 10.0.0.127/26 is the network's own or its broadcast address`],
  ],
  [
    'haproxy',
    'VIP=10.0.0.64/26\nVRRP_PEERS=10.0.0.66',
    [`VIP: 10.0.0.64/26 is the network's own or its broadcast address`],
  ],
  [
    'haproxy',
    'VIP=10.0.0.115/7\nVRRP_PEERS=10.0.0.66',
    ['VIP: "10.0.0.115/7" is not an IPv4 address with the prefix length of its network (8-30)'],
  ],
  [
    'haproxy',
    'VIP=10.0.0.115/31\nVRRP_PEERS=10.0.0.66',
    ['VIP: "10.0.0.115/31" is not an IPv4 address with the prefix length of its network (8-30)'],
  ],
  ['haproxy', 'VIP="10.0.0.115/26 10.0.0.115/24"\nVRRP_PEERS=10.0.0.66', ['VIP: has 10.0.0.115 twice']],
  [
    'haproxy',
    'VIP=10.0.0.115/26\nVRRP_PEERS="10.0.0.6 10.0.0.666"',
    [
      'VRRP_PEERS: 10.0.0.6 is not in the network of the (first) VIP, 10.0.0.115/26',
      'VRRP_PEERS: "10.0.0.666" is not an IPv4 address',
    ],
  ],
  [
    'haproxy',
    `${pair}\nVRRP_PRIORITY=255\nVRRP_ROUTER_ID=0`,
    [
      'VRRP_PRIORITY: "255" is not a number from 1 to 254',
      'VRRP_ROUTER_ID: "0" is not a number from 1 to 255',
    ],
  ],
  ['haproxy', `${pair}\nVRRP_PRIORITY=254\nVRRP_ROUTER_ID=255`, []],
  ['haproxy', 'NODEPORTS="30080 30443"\nNODEPORT_BACKENDS="w1=10.0.0.70"', []],
  [
    'haproxy',
    'NODEPORTS="30080 30080"\nNODEPORT_BACKENDS="w1=10.0.0.70"',
    ['NODEPORTS: 30080 is taken by another of them'],
  ],
  [
    'haproxy',
    'NODEPORTS="22 6443 8405 0 65536 x"\nNODEPORT_BACKENDS="w1=10.0.0.70"',
    [
      'NODEPORTS: 22 is taken by ssh',
      'NODEPORTS: 6443 is taken by the Kubernetes API',
      'NODEPORTS: 8405 is taken by the metrics',
      'NODEPORTS: "0" is not a port (1-65535)',
      'NODEPORTS: "65536" is not a port (1-65535)',
      'NODEPORTS: "x" is not a port (1-65535)',
    ],
  ],
  ['haproxy', 'NODEPORTS=30080', ['NODEPORTS: is set, but NODEPORT_BACKENDS is not']],
  [
    'haproxy',
    'NODEPORT_BACKENDS="w1=10.0.0.70"\nNODEPORT_CHECK=70000',
    [
      'NODEPORT_CHECK: "70000" is not a number from 1 to 65535',
      'NODEPORT_BACKENDS: is set, but NODEPORTS is not',
      'NODEPORT_CHECK: is set, but NODEPORTS is not',
    ],
  ],
  ['haproxy', 'API_BACKENDS="cp1=10.0.0.66 cp2=10.0.0.67:8443"\nAPI_VERIFY_HOST=kubernetes', []],
  [
    'haproxy',
    'API_BACKENDS="cp1=10.0.0.66:0 cp2=10.0.0.67:x cp3=:6443"',
    [
      'API_BACKENDS: "0" of cp1 is not a port (1-65535)',
      'API_BACKENDS: "x" of cp2 is not a port (1-65535)',
      'API_BACKENDS: "" of cp3 is not an IPv4 address',
    ],
  ],
  [
    'haproxy',
    'API_BACKENDS="cp1=10.0.0.66 cp2=10.0.0.66:6443"',
    ['API_BACKENDS: has the address 10.0.0.66:6443 twice'],
  ],
  [
    'haproxy',
    'API_VERIFY_HOST=-x',
    ['API_VERIFY_HOST: is set, but API_BACKENDS is not', 'API_VERIFY_HOST: "-x" is not a DNS name'],
  ],
  ['haproxy', 'API_BACKENDS=cp1=127.0.0.1', ['API_BACKENDS: "127.0.0.1" of cp1 is not an IPv4 address']],
  ['worker', 'NODE_ROLE=worker\nNODE_ADDRESS=10.0.0.70', []],
  ['worker', `NODE_ROLE=worker\nBOOTSTRAP=join\n${endpoint}\n${token}\n${hash}`, []],
  [
    'worker',
    `NODE_ROLE=worker\nBOOTSTRAP=join\n${endpoint}`,
    [
      'JOIN_TOKEN: is not set; a worker with BOOTSTRAP=join needs it',
      'JOIN_CA_HASH: is not set; a worker with BOOTSTRAP=join needs it',
    ],
  ],
  [
    'worker',
    `NODE_ROLE=worker\nBOOTSTRAP=init\n${endpoint}`,
    ['BOOTSTRAP: is init, but NODE_ROLE is worker; a cluster begins with a control plane'],
  ],
  [
    'worker',
    `NODE_ROLE=worker\n${token}\n${hash}`,
    ['JOIN_TOKEN: is set, but BOOTSTRAP is none', 'JOIN_CA_HASH: is set, but BOOTSTRAP is none'],
  ],
  [
    'worker',
    `NODE_ROLE=worker\nBOOTSTRAP=join\n${endpoint}\n${token}\n${hash}\nCERTIFICATE_KEY=${'0'.repeat(64)}`,
    ['CERTIFICATE_KEY: is set, but a worker must not have it: it opens the keys of the cluster'],
  ],
  [
    'worker',
    `NODE_ROLE=worker\nBOOTSTRAP=join\n${endpoint}\nJOIN_TOKEN=short\nJOIN_CA_HASH=md5:1`,
    [
      'JOIN_CA_HASH: "md5:1" is not sha256: and 64 hexadecimal digits',
      'JOIN_TOKEN: is not a bootstrap token: 6 characters, a dot, 16 characters, of a-z and 0-9',
    ],
  ],
  ['worker', `NODE_ROLE=worker\nBOOTSTRAP=later`, ['BOOTSTRAP: "later" is not one of: init join none']],
  [
    'worker',
    `NODE_ROLE=worker\nCONTROL_PLANE_ENDPOINT=API.example.org:6443`,
    [
      'CONTROL_PLANE_ENDPOINT: "API.example.org:6443" is not a DNS name or an IPv4 address with a port, NAME:PORT',
    ],
  ],
  ['worker', `NODE_ROLE=worker\nCONTROL_PLANE_ENDPOINT=api.example.org:6443`, []],
  [
    'worker',
    `NODE_ROLE=worker\nCONTROL_PLANE_ENDPOINT=10.0.0.115`,
    ['CONTROL_PLANE_ENDPOINT: "10.0.0.115" is not a DNS name or an IPv4 address with a port, NAME:PORT'],
  ],
  [
    'worker',
    `NODE_ROLE=worker\nCONTROL_PLANE_ENDPOINT=10.0.0.115:99999`,
    [
      'CONTROL_PLANE_ENDPOINT: "10.0.0.115:99999" is not a DNS name or an IPv4 address with a port, NAME:PORT',
    ],
  ],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nBOOTSTRAP=init\n${endpoint}\nETCD_ENDPOINTS="10.0.0.129 10.0.0.130"\n${token}`,
    [],
  ],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nBOOTSTRAP=init\n${endpoint}`,
    ['ETCD_ENDPOINTS: is not set; a control-plane with BOOTSTRAP=init needs it'],
  ],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nBOOTSTRAP=init\n${endpoint}\nETCD_ENDPOINTS="10.0.0.129 10.0.0.129 x"`,
    ['ETCD_ENDPOINTS: has 10.0.0.129 twice', 'ETCD_ENDPOINTS: "x" is not an IPv4 address'],
  ],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nBOOTSTRAP=join\n${endpoint}\n${token}\n${hash}`,
    ['CERTIFICATE_KEY: is not set; a control-plane with BOOTSTRAP=join needs it'],
  ],
  ['control-plane', `NODE_ROLE=control-plane\nPOD_CIDR=10.32.0.0/12\nSERVICE_CIDR=10.96.0.0/12`, []],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nPOD_CIDR=10.32.0.1/12\nSERVICE_CIDR=10.96.0.0/11`,
    [
      'POD_CIDR: "10.32.0.1/12" is not an IPv4 network with a prefix length from 8 to 24, as in 10.32.0.0/12',
      'SERVICE_CIDR: "10.96.0.0/11" is not an IPv4 network with a prefix length from 12 to 28, as in 10.32.0.0/12',
    ],
  ],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nKUBE_PROXY_MODE=ipvs\nCLUSTER_NAME=Prod`,
    [
      'KUBE_PROXY_MODE: "ipvs" is not one of: iptables nftables',
      'CLUSTER_NAME: "Prod" is not a name of lower-case letters, digits and dashes',
    ],
  ],
  [
    'control-plane',
    `NODE_ROLE=control-plane\nCERTIFICATE_KEY=xyz\nBOOTSTRAP=join\n${endpoint}\n${token}\n${hash}`,
    ['CERTIFICATE_KEY: is not 64 hexadecimal digits'],
  ],
  ['etcd', `${found}\n export X=1`, ['line 4: is not KEY=value']],
  ['etcd', `${found}\nETCD_NAME="a\\"b"`, ['ETCD_NAME: has a quote or a backslash in its value (line 4)']],
  [
    'etcd',
    `${found}\nETCD_NAME=$(reboot)`,
    [
      'ETCD_NAME: "$(reboot)" is not a DNS name',
      'ETCD_MEMBERS: does not have this member, $(reboot); it has: etcd1=10.0.0.129 etcd2=10.0.0.130 etcd3=10.0.0.131',
    ],
  ],
  ['etcd', `${found}\nETCD_TOKEN=ü`, ['line 4: has a character that is not printable ASCII']],
  ['etcd', `${found}\nETCD_TOKEN=u`, ['ETCD_TOKEN: is set twice']],
  ['etcd', `# a comment\n; another\n\n  \n${found}\n`, []],
  ['etcd', `ETCD_STATE='new'\nETCD_TOKEN="  t  "\n${members}  `, []],
]

describe('the values of a node', () => {
  it.each(cases)('of the role %s are checked as first boot does: %s', async (role, text, problems) => {
    expect(await problemsOf(role, text)).toEqual(problems)
  })

  it('are refused in a form that no line of the file can have', async () => {
    const values = { ETCD_TOKEN: 'a\nETCD_STATE=existing', ETCD_NAME: '"', ETCD_MEMBERS: '*' }
    expect(await checkValues(checkout, 'etcd', values, 'etcd1')).toEqual([
      { key: 'ETCD_TOKEN', reason: 'has a character that is not printable ASCII' },
      { key: 'ETCD_NAME', reason: 'has a quote or a backslash in its value' },
      { key: 'ETCD_MEMBERS', reason: 'has a *, a ? or a [ in its value' },
    ])
  })

  it('are all refused at once, however many there are', async () => {
    const words = Array.from({ length: 100 }, (_, index) => `name-${index}-${'x'.repeat(40)}`)
    const problems = await checkValues(checkout, 'haproxy', { API_BACKENDS: words.join(' ') }, 'lb1')
    expect(problems).toHaveLength(100)
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

  it('are never repeated when they are secret, or when a line cannot be read', async () => {
    const bad = await problemsOf(
      'worker',
      'NODE_ROLE=worker\nBOOTSTRAP=join\nJOIN_TOKEN=hunter2\nCERTIFICATE_KEY=hunter2',
    )
    const line = await problemsOf('worker', 'export JOIN_TOKEN=hunter2')
    expect([...bad, ...line].join('\n')).toContain('JOIN_TOKEN: is not a bootstrap token')
    expect([...bad, ...line].join('\n')).not.toContain('hunter2')
  })

  it('are not in the error when the checks cannot run', async () => {
    const values = { NODE_ROLE: 'worker', JOIN_TOKEN: 'hunter2' }
    const failure = await checkValues('/nowhere', 'worker', values, 'w1').catch((error: unknown) => error)
    expect(failure).toMatchObject({
      message: expect.stringMatching(/^The values of w1 could not be checked: /),
      fix: 'see whether the checkout is complete, with all of /nowhere/images',
    })
    expect(String(failure)).not.toContain('hunter2')
  })
})

it('the secret keys are those of the images', async () => {
  const images = [...new Set(roleNames.map((role) => roles[role].image))]
  const scripts = images.map((image) => `images/${image}/tree/usr/lib/seeder/role`)
  const { stdout } = await execa('sed', ['-n', 's/^role_secrets=(\\(.*\\))$/\\1/p', ...scripts], {
    cwd: checkout,
  })
  expect(stdout.trim().split(/\s+/)).toEqual(secretKeys)
})
