import path from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { INSTALL, RunnerHost } from '../../support/host/runner-host.ts'
import { snapshot } from '../../support/host/snapshot.ts'

const SCRIPT = path.resolve(import.meta.dirname, '../../../scripts/runner.sh')

it('documents itself on one screen', async () => {
  const { stdout } = await execa(SCRIPT, ['--help'])
  const lines = stdout.split('\n')
  expect(lines.length).toBeLessThanOrEqual(24)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120)
})

describe('install checks before it changes anything:', () => {
  it.each<[string, string, string[], RegExp]>([
    [
      'a user of the same name',
      'useradd seeder-runner',
      [],
      /there is a user seeder-runner, and runner\.sh did not make it/,
    ],
    [
      'a rule of the same name',
      'echo >/etc/sudoers.d/seeder-runner',
      [],
      /there is a file \/etc\/sudoers\.d\/seeder-runner/,
    ],
    [
      'a folder that others can write',
      'chmod 2775 /usr/local/lib',
      [],
      /\/usr\/local\/lib can be written by others.*\n {2}→ chmod go-w/,
    ],
    ['a folder that is a link', 'ln -s /tmp /usr/local/lib/seeder', [], /lib\/seeder is a symbolic link/],
    [
      'settings of somebody else',
      'mkdir /etc/seeder; chown 7 /etc/seeder',
      [],
      /seeder belongs to the user id 7/,
    ],
    [
      'a broken sudoers file',
      'echo nonsense >/etc/sudoers.d/other',
      [],
      /sudo's configuration is not in order/,
    ],
    ['no deploy.sh', 'rm /root/seeder/scripts/deploy.sh', [], /has no deploy\.sh/],
    ['a wrong token', 'echo github_pat_wrongwrongwrongwrong >/shared/token', [], /\(401 Bad credentials\)/],
    ['no token', 'rm /shared/token', [], /there is no token/],
    ['something else than a token', 'echo "a b c" >/shared/token', [], /holds no token of GitHub's/],
    [
      'an unknown repository',
      'true',
      ['--repo', 'acme/nothing'],
      /GitHub knows no acme\/nothing and group 1/,
    ],
    ['an old version', 'true', ['--version', '2.335.9'], /the runner 2\.335\.9 is too old/],
    ['no archive', 'true', ['--archive', '/shared/no.tar.gz'], /there is no file \/shared\/no\.tar\.gz/],
    [
      'another archive',
      'echo >>/shared/actions-runner-linux-x64-2.337.0.tar.gz',
      [],
      /archive has the sha256/,
    ],
    [
      'no user namespaces',
      'echo 0 >/run/zero; mount --bind /run/zero /proc/sys/user/max_user_namespaces',
      [],
      /user\.max_user_namespaces is 0/,
    ],
  ])('%s', async (_, line, argv, found) => {
    await using host = await RunnerHost.prepare()
    await host.machine.read(line)
    const before = await snapshot(host.machine)
    const { all, exitCode } = await host.runner('install', ...INSTALL, ...host.archive, ...argv)
    expect(all).toMatch(found)
    expect(exitCode).toBeGreaterThan(0)
    expect(await snapshot(host.machine)).toEqual(before)
  })
})

describe('arguments and host', () => {
  let host: RunnerHost
  beforeAll(async () => {
    host = await RunnerHost.prepare()
  })
  afterAll(async () => {
    await host[Symbol.asyncDispose]()
  })

  it('names the packages that are missing', async () => {
    // The real sudo is on the machine: it is hidden from the look-up alone.
    const { all, exitCode } = await host.machine.bash(
      'source ~/seeder/scripts/runner.sh; command() { [[ $2 != *sudo ]] && builtin command "$@"; }; main install --repo a/b',
    )
    expect([exitCode, all]).toEqual([1, 'runner: this host has no sudo visudo\n  → apt-get install sudo'])
  })

  it('needs root', async () => {
    const { all, exitCode } = await host.machine.run(['/shared/runner.sh', 'status'], { user: 'daemon' })
    expect([exitCode, all]).toEqual([1, 'runner: status needs root\n  → sudo scripts/runner.sh status'])
  })

  it('runs once at a time', async () => {
    const { all } = await host.machine.bash('flock /var/lib ~/seeder/scripts/runner.sh remove')
    expect(all).toBe('runner: another runner.sh is at work\n  → wait for it')
  })

  it.each([
    ['--repo', 'acme'],
    ['--repo', '../../user/x'],
    ['--org', 'a/b'],
    ['--name', 'a b'],
    ['--name', '$(id)'],
    ['--labels', 'a,,b'],
    ['--group', '0'],
    ['--version', '2.337'],
    ['--sha256', 'abc'],
    ['--http-proxy', 'http://a\nLD_PRELOAD=x'],
    ['--no-proxy', 'a b'],
  ])('does not take %s %j', async (option, value) => {
    const { exitCode, stderr } = await host.runner('install', option, value)
    expect(exitCode).toBe(2)
    expect(stderr).toMatch(/^runner: .* was given as .*\n {2}→ it is /)
  })

  it.each([
    [['install', '--nonsense', '1'], "install takes no '--nonsense'"],
    [['install', '--name'], '--name needs a value'],
    [['install', 'x'], "install takes no 'x'"],
    [['remove', '--force'], "remove takes no '--force'"],
    [['status', '--purge'], "status takes no '--purge'"],
    [['start'], "there is no 'start'"],
    [[], 'nothing to do was given'],
  ])('does not take %j', async (argv, found) => {
    const { exitCode, stderr } = await host.runner(...argv)
    expect([exitCode, stderr]).toEqual([2, `runner: ${found}\n  → see runner.sh --help`])
  })
})
