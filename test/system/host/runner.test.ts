import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TOKEN } from '../../support/host/github.ts'
import { INSTALL, RunnerHost } from '../../support/host/runner-host.ts'
import { snapshot } from '../../support/host/snapshot.ts'

let host: RunnerHost

beforeEach(async () => {
  host = await RunnerHost.prepare()
})
afterEach(async () => {
  await host[Symbol.asyncDispose]()
})

describe('install', () => {
  it("makes a user without rights, root's files, and one rule for sudo; the second time it changes nothing", async () => {
    const { machine } = host
    expect(await host.install()).toContain('runner: started seeder-runner.service')

    expect(await machine.read('getent passwd seeder-runner')).toMatch(
      /:\/var\/lib\/seeder-runner\/job\/home:\/usr\/sbin\/nologin$/,
    )
    expect(await machine.read('getent shadow seeder-runner')).toMatch(/^seeder-runner:!/)
    expect(await machine.read('grep -h seeder-runner /etc/subuid /etc/subgid')).toBe(
      'seeder-runner:165536:65536\nseeder-runner:165536:65536',
    )
    expect(await machine.read('id -Gn seeder-runner')).toBe('seeder-runner')
    const modes =
      'stat -c "%U:%G %a %n" /etc/seeder/* /usr/local/lib/seeder/* /etc/sudoers.d/* /etc/systemd/system/seeder-*'
    expect((await machine.read(modes)).split('\n')).toEqual([
      'root:root 644 /etc/seeder/deploy.conf',
      'root:root 600 /etc/seeder/runner.conf',
      'root:root 600 /etc/seeder/runner.token',
      'root:root 755 /usr/local/lib/seeder/deploy-outside',
      'root:root 755 /usr/local/lib/seeder/deploy.sh',
      'root:root 755 /usr/local/lib/seeder/runner.sh',
      'root:root 440 /etc/sudoers.d/seeder-runner',
      'root:root 644 /etc/systemd/system/seeder-deploy.slice',
      'root:root 644 /etc/systemd/system/seeder-runner-job.service',
      'root:root 644 /etc/systemd/system/seeder-runner.service',
    ])
    await machine.read('visudo -c')
    await machine.read('cmp /root/seeder/scripts/deploy.sh /usr/local/lib/seeder/deploy.sh')
    expect(
      await machine.read('find /var/lib/seeder-runner/program ! -user root -o -perm /022 ! -type l'),
    ).toBe('')
    expect(await machine.read('grep -v "^#" /etc/seeder/deploy.conf | grep .')).toBe(
      'VMID_RANGE=9000-9099\nKEEP=3\nSMOKE=1\nALLOW_UNSIGNED=0\nALLOWED_SIGNERS=/etc/seeder/allowed_signers',
    )

    await host.idle()
    const before = await snapshot(machine)
    const requests = (await host.requests()).length
    const again = await host.runner('install')
    expect(again.all).toBe('runner: everything is in place, nothing was changed')
    expect((await host.runner('install', ...INSTALL, ...host.archive)).all).toBe(again.all)
    expect(await snapshot(machine)).toEqual(before)
    expect((await host.requests()).slice(requests).filter(({ method }) => method === 'GET')).toEqual([])
  })

  it('leaves settings of the operator alone', async () => {
    await host.machine.read(
      'mkdir /etc/seeder; echo KEEP=9 >/etc/seeder/deploy.conf; echo alice >/etc/seeder/allowed_signers',
    )
    await host.install()
    expect(await host.machine.read('cat /etc/seeder/deploy.conf /etc/seeder/allowed_signers')).toBe(
      'KEEP=9\nalice',
    )
  })

  it('registers with its settings, and keeps them when they are not given again', async () => {
    const { machine } = host
    await host.install(
      '--org',
      'acme',
      '--name',
      'pve-7',
      '--labels',
      'self-hosted,seeder,pve-7',
      '--group',
      '7',
    )
    await host.idle()
    await host.refuse('server-error')
    await host.runner('install', '--labels', 'one')
    await machine.until('[ "$(grep -c registered <<<"$(journalctl -o cat -u seeder-runner)")" = 2 ]')
    const made = (await host.requests()).filter(({ method }) => method === 'POST')
    expect(made.map(({ url, authorization }) => [url, authorization])).toEqual(
      made.map(() => ['/orgs/acme/actions/runners/generate-jitconfig', `Bearer ${TOKEN}`]),
    )
    expect(made.map(({ body }) => JSON.parse(body))).toEqual(
      ['self-hosted,seeder,pve-7', 'one', 'one'].map((labels) => ({
        name: expect.stringMatching(/^pve-7-[0-9a-f]{8}$/),
        runner_group_id: 7,
        labels: labels.split(','),
        work_folder: '_work',
      })),
    )
    // The waiting runner got a signal to end, and GitHub removed it.
    expect((await host.requests()).filter(({ method }) => method === 'DELETE')).toHaveLength(1)
  })

  it('downloads the pinned version, and takes no other', async () => {
    const digest = await host.addArchive('2.338.1')
    const argv = ['install', ...INSTALL, '--version', 'v2.338.1', '--sha256', digest.toUpperCase()]
    expect((await host.runner(...argv)).all).toContain(
      'cannot be downloaded from https://github.com/actions/runner/releases/',
    )
    await host.release('2.338.1')
    const wrong = await host.runner(...argv.with(-1, host.digest))
    expect(wrong.all).toContain(
      `runner: the runner's archive has the sha256 ${digest}, and --sha256 says ${host.digest}`,
    )
    expect(await host.machine.read('ls /var/lib /etc/sudoers.d')).not.toContain('seeder')
    expect((await host.runner(...argv)).exitCode).toBe(0)
    expect(await host.machine.read('cat /var/lib/seeder-runner/program/2.338.1-*/version')).toBe('2.338.1')
    // The token goes to api.github.com alone.
    for (const { host: name, authorization } of await host.requests()) {
      expect(authorization).toBe(name === 'api.github.com' ? `Bearer ${TOKEN}` : '')
    }
  })

  it('upgrades: the next job gets the new version, the old one is removed', async () => {
    await host.install()
    await host.idle()
    const digest = await host.addArchive('2.338.0')
    const { all } = await host.runner(
      'install',
      '--archive',
      '/shared/actions-runner-linux-x64-2.338.0.tar.gz',
      '--sha256',
      digest,
    )
    expect(all).toContain('runner: restarted seeder-runner.service')
    expect(await host.job('cat ~/../runner/version')).toEqual(['2.338.0'])
    expect(await host.machine.read('ls /var/lib/seeder-runner/program')).toBe(
      `2.338.0-${digest.slice(0, 12)}`,
    )
  })

  it('does not disturb a job that is running', async () => {
    await host.install()
    const name = await host.beginJob('until [ -e /shared/go ]; do sleep 0.1; done; cat ~/../runner/version')
    const digest = await host.addArchive('2.338.0')
    const { all } = await host.runner(
      'install',
      '--archive',
      '/shared/actions-runner-linux-x64-2.338.0.tar.gz',
      '--sha256',
      digest,
    )
    expect(all).toContain('runner: a job is running')
    expect((await host.runner('remove')).all).toMatch(/^runner: a job is running\n/)
    await host.machine.read('touch /shared/go')
    await host.machine.until(`journalctl -o cat | grep -x -B 1 '${name} ends' | grep -x 2.337.0`)
    expect(await host.job('cat ~/../runner/version')).toEqual(['2.338.0'])
  })

  it('takes proxies from options, and at the first time from the environment', async () => {
    const { machine } = host
    const proxied = { http_proxy: 'http://user:p%40ss@127.0.0.1:3128', no_proxy: 'github.com,.acme.example' }
    const variables = Object.entries(proxied).map((pair) => pair.join('='))
    const script = '/root/seeder/scripts/runner.sh'
    await machine.run(['env', ...variables, script, 'install', ...INSTALL, ...host.archive])
    const seen = async () => await host.job('env | grep -i proxy | sort; true')
    expect(await seen()).toEqual(variables)
    expect((await host.runner('install')).all).toContain('nothing was changed')
    await host.runner(
      'install',
      '--http-proxy',
      '',
      '--https-proxy',
      'http://127.0.0.1:9',
      '--no-proxy',
      'api.github.com',
    )
    expect(await seen()).toEqual(['https_proxy=http://127.0.0.1:9', 'no_proxy=api.github.com'])
    const { all } = await host.runner('install', '--no-proxy', 'localhost', '--name', 'other')
    expect(all).toMatch(
      /^runner: GitHub did not answer: .*127\.0\.0\.1.*\n {2}→ look at the network, DNS and proxies/,
    )
  })
})

describe('remove', () => {
  it('leaves nothing but what deploy.sh uses, and with --purge nothing', async () => {
    const { machine } = host
    const before = await snapshot(machine)
    await host.install()
    await host.job('sudo -n /usr/local/lib/seeder/deploy.sh | cat')
    await host.idle()
    await machine.read('mkdir /var/lib/seeder; echo alice >/etc/seeder/allowed_signers')
    const { all } = await host.runner('remove')
    expect(all).toContain(
      'runner: kept, since deploy.sh is useful without the runner: /etc/seeder/deploy.conf',
    )
    expect(await machine.read('find /etc/seeder /var/lib/seeder')).toBe(
      '/etc/seeder\n/etc/seeder/allowed_signers\n/etc/seeder/deploy.conf\n/var/lib/seeder',
    )
    expect(
      (await machine.bash('pgrep -c -U 999; systemctl list-units --all "seeder*" --no-legend')).stdout,
    ).toBe('0')
    expect((await host.runner('remove', '--purge')).exitCode).toBe(0)
    expect(await snapshot(machine)).toEqual(before)
    expect((await host.runner('remove')).all).toBe('runner: nothing is installed')
    // Every runner that was made is forgotten.
    const requests = await host.requests()
    const count = (method: string) => requests.filter((request) => request.method === method).length
    expect(count('DELETE')).toBe(count('POST'))
  })

  it('empties a file system of its own, and leaves it mounted', async () => {
    await host.machine.read(
      'mkdir /var/lib/seeder-runner; mount -t tmpfs -o mode=755 tmpfs /var/lib/seeder-runner',
    )
    expect(await host.install()).not.toContain('mount one of its own')
    expect((await host.runner('remove')).all).toContain('emptied /var/lib/seeder-runner')
    expect(await host.machine.read('mountpoint /var/lib/seeder-runner; ls -A /var/lib/seeder-runner')).toBe(
      '/var/lib/seeder-runner is a mountpoint',
    )
  })
})

describe('status', () => {
  it('says what is wrong, and what to do', async () => {
    const { machine } = host
    expect(await host.runner('status')).toMatchObject({
      exitCode: 1,
      all: expect.stringContaining('no runner is installed'),
    })
    await host.install()
    await host.idle()
    await machine.read('echo alice >/etc/seeder/allowed_signers')
    await machine.until('/root/seeder/scripts/runner.sh status')
    expect((await host.runner('status')).all).toMatch(
      /^runner +pve1 for acme\/platform, labels self-hosted, linux, x64, seeder, pve1\nversion +2\.337\.0\nstate +waits for a job\ndeploy\.sh +not at work$/,
    )
    await machine.read(`
      sed -i s/ALLOW_UNSIGNED=0/ALLOW_UNSIGNED=1/ /etc/seeder/deploy.conf; rm /etc/seeder/allowed_signers; chmod 644 /etc/seeder/runner.token; echo >>/root/seeder/scripts/deploy.sh
      chmod g+w /usr/local/lib/seeder/deploy-outside; systemctl disable --now seeder-runner
      echo 'seeder-runner ALL=(ALL) NOPASSWD: /bin/cat' >/etc/sudoers.d/zz`)
    const { exitCode, all } = await host.runner('status')
    expect(exitCode).toBe(1)
    expect(all.split('\n').filter((line) => line.startsWith('problem'))).toEqual(
      [
        /seeder-runner\.service does not run/,
        /does not start with the host/,
        /runner\.token is missing, or others than root may read it/,
        /deploy-outside is missing, or others than root may write it/,
        /deploy\.sh is not the deploy\.sh of \/root\/seeder\/scripts/,
        /sudo lets seeder-runner do more/,
        /deploy\.conf has ALLOW_UNSIGNED=1/,
        /allowed_signers names nobody/,
      ].map((found) => expect.stringMatching(found)),
    )
  })
})
