import type { HostResult, PveHost } from '../pve/host.ts'
import { checkout } from '../seeder.ts'

/** A command that deploy.sh is about to run in its main shell: the n-th, its line and its text. */
export interface Point {
  readonly number: number
  readonly line: number
  readonly command: string
}

const script = `${checkout}/scripts/deploy.sh`
const trace = '/run/points'

// Sourced with a trap that runs before each simple command: deploy.sh itself knows nothing of it. What runs in a
// subshell only reads, and is not counted.
const driver = `
kill_point=$1 kill_trace=$2 kill_script=$3 kill_seen=0
shift 3
set -T
trap '[[ $BASHPID == $$ ]] && {
    kill_seen=$((kill_seen + 1))
    [[ -z $kill_trace ]] || printf "%s\\t%s\\n" "$LINENO" "\${BASH_COMMAND//$'"'\\n'"'/ }" >>"$kill_trace"
    ((kill_seen != kill_point)) || kill -KILL 0
}' DEBUG
. "$kill_script"
`

/** Runs deploy.sh undisturbed. Every command that it runs in its main shell, in order. */
export async function listPoints(host: PveHost, argv: readonly string[]): Promise<Point[]> {
  await host.run(['rm', '-f', trace])
  const result = await host.run(['/bin/bash', '-c', driver, 'deploy', '0', trace, script, ...argv])
  if (result.code !== 0) throw new Error(`deploy.sh ended with ${result.code}: ${result.stderr}`)
  const { stdout } = await host.run(['cat', trace])
  return stdout
    .trimEnd()
    .split('\n')
    .map((text, index) => {
      const [line = '', command = ''] = text.split('\t')
      return { number: index + 1, line: Number(line), command }
    })
}

/** Runs deploy.sh and kills its process group, by SIGKILL, right before it runs the command with a number. */
export async function killAt(host: PveHost, point: number, argv: readonly string[]): Promise<HostResult> {
  return host.run(['/bin/bash', '-c', driver, 'deploy', String(point), '', script, ...argv])
}

// What changes something, or announces it.
const changes =
  /^(out=\$\("\$@"|mv|rm|rmdir|mkdir|touch|printf .*JOURNAL|cat > |: > |exec |dd |sed -i|STAGED=\$)/

/** The numbers of the commands before and after which a kill can leave something: right before each, and right after. */
export function killPoints(points: readonly Point[]): number[] {
  const numbers = points
    .filter(({ command }) => changes.test(command))
    .flatMap(({ number }) => [number, number + 1])
  return [...new Set(numbers)].filter((number) => number <= points.length)
}
