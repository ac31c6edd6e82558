import { afterAll, beforeAll, expect, it } from 'vitest'
import { INSTALL, RunnerHost } from '../../support/host/runner-host.ts'
import { snapshot } from '../../support/host/snapshot.ts'

/** What changes something on the machine; each is a point to be killed before, which is also after the one before it. */
const CHANGES =
  ' mv | rm | rmdir | mkdir | cp | tar | install | touch | chown | sed | groupadd | useradd | usermod | userdel | groupdel ' +
  '| systemctl '

/**
 * Runs main with its arguments and kills it, and all that it started, before the command number $1 that changes something.
 * The names are such as no function of runner.sh has for a variable of its own, which this would see.
 */
const KILLED = `
source ~/seeder/scripts/runner.sh
set -o functrace
KILLED_AT=$1 CHANGE=0
shift
before_command() {
  # Not by =~, which would overwrite what the program has matched.
  [[ $BASHPID == $$ && " \${1%% *} " == @(${CHANGES}) ]] || return 0
  CHANGE=$((CHANGE + 1))
  ((CHANGE != KILLED_AT)) || kill -KILL 0
}
trap 'before_command "$BASH_COMMAND"' DEBUG
main "$@"
`

let host: RunnerHost
let clean: readonly string[]
let installed: readonly string[]

beforeAll(async () => {
  host = await RunnerHost.prepare()
  clean = await snapshot(host.machine)
  await host.install()
  await host.idle()
  installed = await snapshot(host.machine)
  await host.runner('remove', '--purge')
  expect(await snapshot(host.machine)).toEqual(clean)
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

const install = () => ['install', ...INSTALL, ...host.archive]
const REMOVE = ['remove', '--purge']

/** Runs runner.sh and kills it before its change number `point`; false when it has no such one and came to its end. */
async function killed(point: number, argv: readonly string[]): Promise<boolean> {
  const words = ['setsid', '--wait', 'bash', '-c', KILLED, 'bash', String(point), ...argv]
  const { exitCode, signal, all } = await host.machine.run(words)
  if (exitCode === 0) return false
  expect(exitCode === 137 || signal === 'SIGKILL', `${exitCode}: ${all}`).toBe(true)
  return true
}

/** Runs runner.sh to its end, after a run that was killed at `point`. */
async function finished(point: number, argv: readonly string[]): Promise<void> {
  const { exitCode, all } = await host.runner(...argv)
  expect([point, exitCode], all).toEqual([point, 0])
  await (argv[0] === 'install' ? isInstalled() : isClean())
}

async function isInstalled(): Promise<void> {
  expect(await snapshot(host.machine)).toEqual(installed)
  expect(
    await host.machine.read(`
      units() { systemctl show -P LoadState -P UnitFileState -P NeedDaemonReload seeder-runner seeder-runner-job | paste -sd ' '; }
      # The service writes what hides the storages from its next job, and has systemd read it in a moment.
      for attempt in {1..300}; do line=$(units); [[ $line == *yes* ]] || break; sleep 0.1; done
      echo "$line"
      # It is stopping for a moment between two jobs.
      timeout 20 sh -c 'until systemctl show -P ActiveState seeder-runner | grep -qE "^(active|activating)$"; do sleep 0.1; done'
      echo runs; visudo -c >/dev/null`),
  ).toBe('loaded enabled no  loaded static no\nruns')
}

async function isClean(): Promise<void> {
  expect(await snapshot(host.machine)).toEqual(clean)
  expect(
    await host.machine.read('systemctl list-units --all --no-legend "seeder*"; ls /run | grep seeder; true'),
  ).toBe('')
}

it('a command that was killed at any point is finished by running it again', async () => {
  const points = { install: 0, remove: 0 }
  for (let point = 1, more = true; more; point++) {
    more = false
    if (await killed(point, install())) {
      points.install = point
      await finished(point, install())
      more = true
    }
    if (await killed(point, REMOVE)) {
      points.remove = point
      await finished(point, REMOVE)
      more = true
    } else {
      await isClean()
    }
  }
  console.log(`killed at ${points.install} points of install and ${points.remove} of remove`)
  expect(points.install).toBeGreaterThan(40)
  expect(points.remove).toBeGreaterThan(30)
}, 1_800_000)

it('remove undoes a killed install, and install a killed remove', async () => {
  for (let point = 3; await killed(point, install()); point += 6) await finished(point, REMOVE)
  await finished(0, REMOVE)
  await finished(0, install())
  for (let point = 2; await killed(point, REMOVE); point += 6) await finished(point, install())
}, 900_000)

it('a half-made user of a killed useradd is completed', async () => {
  await finished(0, REMOVE)
  // The command after useradd.
  expect(await killed(21, install())).toBe(true)
  await host.machine.read('grep ^seeder-runner: /etc/shadow && sed -i /^seeder-runner:/d /etc/shadow')
  await finished(21, install())
})

it('an upgrade that was killed leaves a runner that works, with the old program or the new one', async () => {
  const { machine } = host
  await finished(0, install())
  const digest = await host.addArchive('2.338.0')
  const upgrade = [
    'install',
    '--archive',
    '/shared/actions-runner-linux-x64-2.338.0.tar.gz',
    '--sha256',
    digest,
  ]
  for (let point = 2; await killed(point, upgrade); point += 3) {
    await machine.read('systemctl restart seeder-runner')
    const [version = ''] = await host.job('cat ~/../runner/version')
    expect(['2.337.0', '2.338.0']).toContain(version)
    await finished(point, install())
  }
}, 900_000)
