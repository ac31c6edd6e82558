import { afterAll, beforeAll, expect, it } from 'vitest'
import { RunnerHost } from '../../support/host/runner-host.ts'

let host: RunnerHost
beforeAll(async () => {
  host = await RunnerHost.prepare()
  await host.install()
  await host.idle()
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

it('systemd accepts the units', async () => {
  const { exitCode, all } = await host.machine.bash(
    'systemd-analyze verify /etc/systemd/system/seeder-runner.service /etc/systemd/system/seeder-runner-job.service',
  )
  // It also looks at units that these need, which are the distribution's.
  expect([exitCode, all.split('\n').filter((line) => line.includes('seeder'))]).toEqual([0, []])
})

it.each([
  // What is left is root, the network, and the sockets of systemd and GitHub.
  ['seeder-runner.service', 30],
  // No filter of system calls is possible (the unit says why), and that is most of what is counted.
  ['seeder-runner-job.service', 75],
])('%s is exposed no more than necessary', async (unit, most) => {
  const { exitCode, all } = await host.machine.bash(
    'systemd-analyze security --offline=true --threshold="$2" "/etc/systemd/system/$1"',
    unit,
    String(most),
  )
  expect(exitCode, all).toBe(0)
})

it.each([
  [
    '252 (252.38-1~deb12u1)',
    [
      '# Filters of system calls would turn it on in this systemd (252): install again when it is 257 or later.',
    ],
  ],
  [
    '257 (257.13-1~deb13u1)',
    expect.arrayContaining([
      'SystemCallArchitectures=native',
      expect.stringMatching(/^SystemCallFilter=~.*@module/),
    ]),
  ],
])('filters what it can without NoNewPrivileges in systemd %s', async (version, lines) => {
  const said = await host.machine.read(
    'source /shared/runner.sh; systemctl() { echo "systemd $VERSION"; }; VERSION=$1; job_filters',
    version,
  )
  expect(said.split('\n')).toEqual(lines)
})

it('the job has the group of /dev/kvm only where there is one', async () => {
  const line = 'grep SupplementaryGroups= /etc/systemd/system/seeder-runner-job.service'
  expect(await host.machine.read(line)).toBe('SupplementaryGroups=kvm')
  await host.machine.read('groupdel kvm')
  expect((await host.runner('install')).all).toContain('wrote /etc/systemd/system/seeder-runner-job.service')
  expect((await host.machine.bash(line)).stdout).toBe('')
  await host.idle()
})
