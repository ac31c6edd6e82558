import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Refusal } from '../../support/host/github.ts'
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

/** Has GitHub refuse, and returns what the service says then. */
async function refused(...refusals: readonly Refusal[]): Promise<string> {
  const { machine } = host
  await host.refuse(...refusals)
  const mark = `mark ${refusals.join(' ')}`
  await machine.read(
    'systemctl stop seeder-runner; systemd-cat -t test echo "$1"; systemctl start --no-block seeder-runner',
    mark,
  )
  const since = `journalctl -o cat -t test -t runner.sh | sed -n "/^$1/,\\$p" | grep "; again in"`
  await machine.until(since, mark)
  return (await machine.read(since, mark)).split('\n')[0] ?? ''
}

describe('prints a refusal with its fix:', () => {
  it.each<[Refusal, RegExp]>([
    [
      'bad-credentials',
      /^runner: GitHub does not know the token \(401 Bad credentials\): .* → make a new one: runner\.sh install --token-file FILE; again in 600 s$/,
    ],
    [
      'no-permission',
      /^runner: GitHub does not allow the token .*\(403 Resource not accessible.*\) → give it the permission "Administration: write" on the repository \(administration=write\); again in 600 s$/,
    ],
    [
      'not-found',
      /^runner: GitHub knows no acme\/platform and group 1 .* → look at --repo, --org and --group.*; again in 600 s$/,
    ],
    [
      'invalid',
      /^runner: GitHub does not take the name, labels or group \(422 Invalid request.*; again in 600 s$/,
    ],
    [
      'rate-limit',
      /^runner: GitHub answers no more requests for now \(403\) → nothing: the runner tries again; again in (8\d|90) s$/,
    ],
    ['secondary-rate-limit', /^runner: GitHub answers no more requests for now \(429\) .*; again in 61 s$/],
  ])('%s', async (refusal, words) => {
    expect(await refused(refusal)).toMatch(words)
    const { all, exitCode } = await host.runner('status')
    expect(exitCode).toBe(1)
    expect(all).toMatch(/\nproblem +no runner is registered: GitHub .*\n {13}→ /)
  })
})

describe('a temporary failure is tried again:', () => {
  it.each<[Refusal, RegExp]>([
    ['server-error', /^runner: GitHub answered 502 Server Error → .*; again in 2 s$/],
    ['name-taken', /^runner: GitHub answered 409 Already exists.* again in 2 s$/],
    [
      'reset',
      /^runner: GitHub did not answer: curl: \(\d+\) .* → look at the network, DNS and proxies of this host; again in 2 s$/,
    ],
    ['not-json', /^runner: GitHub's answer has no configuration for a runner in it → .*; again in 2 s$/],
    ['second-line', /^runner: GitHub's answer has no configuration for a runner in it → .*; again in 2 s$/],
  ])('%s', async (refusal, words) => {
    expect(await refused(refusal, refusal)).toMatch(words)
    await host.idle()
    expect(await host.job('echo "preload <$LD_PRELOAD>"')).toEqual(['preload <>'])
  })
})

it('a new token is taken at once', async () => {
  const { machine } = host
  expect(await refused('bad-credentials')).toContain('again in 600 s')
  await machine.read('tr a b </shared/token >/shared/other')
  expect((await host.runner('install', '--token-file', '/shared/other')).all).toContain(
    '(401 Bad credentials)',
  )
  await machine.read('touch /etc/seeder/runner.token')
  expect((await host.runner('install', '--token-file', '/shared/token')).all).toContain(
    'restarted seeder-runner.service',
  )
  await host.idle()
})

it('reports a missing network, and tries again', async () => {
  const { machine } = host
  await machine.read('systemctl stop github; systemctl restart --no-block seeder-runner')
  await machine.until('journalctl -o cat -u seeder-runner | grep "did not answer: curl: (7).*again in 4 s"')
  await host.startGitHub()
  await host.idle()
})
