import { afterEach, expect, test } from 'vitest'
import { statusSchema } from '../../../src/guest/status.ts'
import { makeNode, nodeEnvs } from '../../support/first-boot/kubernetes-site.ts'
import type { Node } from '../../support/first-boot/node.ts'
import { BYTE_CHANGES, type Mutation, mutate, TEXT_CHANGES } from '../../support/mutation/bytes.ts'
import { NODE_ENV_CHANGES } from '../../support/mutation/node-env.ts'
import { Random, ROUNDS, seedOf } from '../../support/mutation/random.ts'
import { failuresOf, first } from '../../support/mutation/rounds.ts'

/** node.env of every role, spoiled in hundreds of ways, and given to the first boot of the image as it is. */
let node: Node | undefined
afterEach(async () => {
  await node?.dispose()
  node = undefined
})

const haproxy = `API_BACKENDS="cp1=10.0.0.66 cp2=10.0.0.67:6443"
API_VERIFY_HOST=kubernetes.example.internal
NODEPORTS="30080 30443"
NODEPORT_BACKENDS="w1=10.0.0.70 w2=10.0.0.71"
VIP="10.0.0.51/26 10.0.0.115/26"
VRRP_ROUTER_ID=51
VRRP_PRIORITY=150
VRRP_PEERS="10.0.0.12 10.0.0.76"
NTP_SERVERS="10.0.0.1 ntp.example.internal"
`
const etcd = `ETCD_STATE=new
ETCD_MEMBERS="node1=10.0.0.11 etcd2=10.0.0.12 etcd3=10.0.0.13"
ETCD_TOKEN=prod
ETCD_DATA_DISK=/dev/vdb
ETCD_QUOTA_MIB=4096
ETCD_HEARTBEAT_MS=100
ETCD_ELECTION_MS=1000
ETCD_COMPACTION_HOURS=8
ETCD_SNAPSHOT_KEEP=12
`
const roles: [image: string, role: string, env: string][] = [
  ['haproxy', 'haproxy', haproxy],
  ['etcd', 'etcd', etcd],
  ['kubernetes-node', 'control-plane', nodeEnvs.joinControlPlane],
  ['kubernetes-node', 'worker', nodeEnvs.joinWorker],
]

/** Boots with each node.env in turn, in one go: what the console showed, the status, and how it ended. */
const bootEach = `
for file in /var/cases/*.env; do
  case=\${file%.env}
  rm -rf /run/seeder /var/lib/seeder/*.state
  : >/dev/console; : >/var/calls
  cp "$file" /etc/seeder/node.env
  timeout -s KILL 90 /usr/lib/seeder/first-boot >"$case.out" 2>"$case.err" </dev/null
  echo $? >"$case.code"
  /usr/lib/seeder/status >"$case.status" 2>>"$case.err" || true
done`

test.each(roles)(
  '%s as %s',
  async (image, _, env) => {
    const made = await makeNode(image)
    node = made
    const spoil = (content: Buffer, random: Random): Mutation =>
      mutate(content, random.next() < 0.5 ? NODE_ENV_CHANGES : { ...BYTE_CHANGES, ...TEXT_CHANGES }, random)
    const content = Buffer.from(env)
    const path = (round: number, what: string) => `/var/cases/${String(round).padStart(4, '0')}.${what}`
    for (let round = 0; round < ROUNDS; round++) {
      await made.writeBytes(path(round, 'env'), spoil(content, new Random(seedOf(round))).content)
    }
    await made.write('/etc/seeder/node.env', '')
    await made.enter('/bin/bash', '-c', bootEach)
    const unsaid: string[] = []
    const failures = await failuresOf({
      content,
      mutate: spoil,
      async feed(_content, round) {
        const read = async (what: string) => (await made.read(path(round, what))) ?? ''
        const [code, err, out] = [Number(await read('code')), await read('err'), await read('out')]
        const status = statusSchema.parse(JSON.parse(await read('status')))
        // A node that ends says so: nobody sees more of it than this.
        const expected = code === 0 ? 'ready' : 'failed'
        if (status.state !== expected)
          unsaid.push(`round ${round}: it ended with ${code} and says ${JSON.stringify(status)}`)
        return { code, stdout: `${err}${status.reason}`, stderr: out }
      },
      // A problem begins with its key or its line.
      names: ['first-boot: '],
      onConsole: true,
    })
    expect(first([...unsaid, ...failures])).toBe('')
  },
  600_000,
)
