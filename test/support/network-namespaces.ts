import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'

/** A TCP port of an address, as `10.0.0.66:6443`, and the source of the probe: an address of the namespace that probes. */
export interface Question {
  readonly from: string
  readonly to: string
}

// A port that nobody listens on answers with a reset: the packet was let through.
const probe = `
import { connect } from 'node:net'
const answered = ({ from, to }) => new Promise((done) => {
  const [host, port] = to.split(':')
  const socket = connect({ host, port: Number(port), localAddress: from, timeout: 600 })
  const end = (result) => { socket.destroy(); done(result) }
  socket.on('connect', () => end(true)).on('timeout', () => end(false))
  socket.on('error', (error) => end(error.code === 'ECONNREFUSED'))
})
const questions = JSON.parse(process.argv[2])
console.log(JSON.stringify(await Promise.all(questions.map(answered))))
`

/**
 * Lays out a network with a shell script, and puts the questions. The script runs as root of a network namespace of its
 * own; `space NAME` makes another one, `inside NAME COMMAND` runs there, and `$RULES` is the file with `rules`.
 * @returns the questions that were answered, as `FROM TO`
 */
export async function answered(
  network: string,
  rules: string,
  by: string,
  questions: readonly Question[],
): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-namespaces-'))
  try {
    await writeFile(join(folder, 'probe.mjs'), probe)
    await writeFile(join(folder, 'rules.nft'), rules)
    const script = `${prelude}\n${network}\ninside ${by} "$NODE" "$PROBE" "$QUESTIONS"`
    const { stdout } = await execa(
      'unshare',
      ['--user', '--map-root-user', '--net', 'bash', '-euc', script],
      {
        env: {
          NODE: process.execPath,
          PROBE: join(folder, 'probe.mjs'),
          RULES: join(folder, 'rules.nft'),
          QUESTIONS: JSON.stringify(questions),
        },
      },
    )
    const answers = JSON.parse(stdout.split('\n').at(-1) ?? '') as boolean[]
    return questions.filter((_, index) => answers[index]).map(({ from, to }) => `${from} ${to}`)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What scripts of networks begin with. */
export const prelude = `
ip link set lo up
declare -A spaces=()
trap 'kill "\${spaces[@]}"' EXIT
space() {
  unshare --net sleep 60 & spaces[$1]=$!
  until [ "$(readlink /proc/\${spaces[$1]}/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
  inside "$1" ip link set lo up
}
inside() { local name=$1; shift; nsenter --net=/proc/\${spaces[$name]}/ns/net "$@"; }
# cable OWN NAME FAR: an interface here, and its other end in a namespace.
cable() {
  ip link add "$1" type veth peer name "$3" netns "\${spaces[$2]}"
  ip link set "$1" up
  inside "$2" ip link set "$3" up
}
`
