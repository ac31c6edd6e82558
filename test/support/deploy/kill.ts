import type { HostResult, PveHost } from '../../stand-ins/proxmox/host.ts'
import { clusterMount } from '../../stand-ins/proxmox/layout.ts'
import { checkout } from '../seeder.ts'

const script = `${checkout}/scripts/deploy.sh`
const trace = '/run/points'

// Sourced with a trap that runs before each simple command: deploy.sh itself knows nothing of it. What runs in a
// subshell only reads, and is not counted; nor is what changes nothing, as how often a run looks and waits differs.
// No regular expression: it would overwrite what the script has just matched.
const driver = `
kill_point=$1 kill_trace=$2 kill_script=$3 kill_what=$4 kill_seen=0 kill_after=
shift 4
kill_now() {
    [[ $kill_what == lose ]] || kill -KILL 0
    umount --lazy /etc/pve
    # Not a job of the script's, which ends those, and without its lock.
    (setsid /bin/sh -c 'sleep 2; mount --bind ${clusterMount} /etc/pve' <&- >/dev/null 2>&1 10>&- 11>&- 12>&- 13>&- 14>&- &)
}
set -T
kill_moment() {
    local kill_command=$1
    if [[ $kill_after ]]; then
        kill_after=
        ((kill_seen * 2 != kill_point)) || kill_now
    fi
    case $kill_command in
        'out=$("$@"'* | mv* | rm* | mkdir* | touch* | printf*JOURNAL* | 'cat > '* | ': > '* | 'exec '* | 'dd '* | 'sed -i'* | 'STAGED=$'*)
            kill_seen=$((kill_seen + 1)) kill_after=1
            [[ -z $kill_trace ]] || echo >>"$kill_trace"
            ((kill_seen * 2 - 1 != kill_point)) || kill_now ;;
    esac
}
trap '[[ $BASHPID != $$ || \${FUNCNAME[0]-} == kill_moment || \${FUNCNAME[0]-} == kill_now ]] || kill_moment "$BASH_COMMAND"' DEBUG
. "$kill_script"
`

/**
 * Runs deploy.sh undisturbed. The moments at which a kill can leave something: right before each command that changes
 * something (or announces it), which have odd numbers, and right after each.
 */
export async function killPoints(host: PveHost, argv: readonly string[]): Promise<number[]> {
  await host.run(['rm', '-f', trace])
  const result = await host.run(['/bin/bash', '-c', driver, 'deploy', '0', trace, script, 'kill', ...argv])
  if (result.code !== 0) throw new Error(`deploy.sh ended with ${result.code}: ${result.stderr}`)
  const { stdout } = await host.run(['cat', trace])
  // After the last one the run is over.
  return Array.from({ length: stdout.length * 2 - 1 }, (_, index) => index + 1)
}

/** Runs deploy.sh and kills its process group, by SIGKILL, at the moment with a number. */
export async function killAt(host: PveHost, point: number, argv: readonly string[]): Promise<HostResult> {
  return host.run(['/bin/bash', '-c', driver, 'deploy', String(point), '', script, 'kill', ...argv])
}

/** As `killAt`, but at that moment /etc/pve goes away for two seconds, as when pve-cluster restarts, and the run goes on. */
export async function loseClusterAt(
  host: PveHost,
  point: number,
  argv: readonly string[],
): Promise<HostResult> {
  return host.run(['/bin/bash', '-c', driver, 'deploy', String(point), '', script, 'lose', ...argv])
}
