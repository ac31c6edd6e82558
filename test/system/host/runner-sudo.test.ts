import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RunnerHost } from '../../support/host/runner-host.ts'

const DEPLOY = '/usr/local/lib/seeder/deploy.sh'

let host: RunnerHost
beforeAll(async () => {
  host = await RunnerHost.prepare()
  // What a site may have in its own files, to everybody's disadvantage.
  await host.machine.read(
    `printf 'Defaults !env_reset, setenv, env_keep += "PERL5LIB MARK BASH_ENV"\\n' >/etc/sudoers.d/00-site; chmod 440 /etc/sudoers.d/00-site`,
  )
  await host.install()
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

/** Runs lines in one job; what they print, standard error with it, and `ended with N` after each. */
async function inJob(...lines: readonly string[]): Promise<string[][]> {
  const script = lines.map(
    (line) => `{ ${line}\n} 2>&1 </dev/null | cat; echo "ended with \${PIPESTATUS[0]}"`,
  )
  const found: string[][] = [[]]
  for (const line of await host.job(script.join('\n'))) {
    found.at(-1)?.push(line)
    if (line.startsWith('ended with ')) found.push([])
  }
  return found.slice(0, -1)
}

describe('deploy.sh, started by a job', () => {
  it('runs as root outside the sandbox, with the arguments and the folder of the job, the mounts it sees, and its status', async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is for a shell that must not read it
    const words = [`a b`, '$HOME', '${SUDO_UID}', '%n', '$$', '*', '', "it's", '--', '-x']
    const quoted = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
    const [found = []] = await inJob(
      `mkdir -p 'in it $x'; cd 'in it $x'; echo input of the job | sudo -n ${DEPLOY} ${quoted}`,
    )
    expect(found).toEqual([
      'deploy.sh as root, sees /etc/pve: local nodes',
      ...words.map((word) => `argument <${word}>`),
      ...found.filter((line) => line.startsWith('variable ')),
      'folder /var/lib/seeder-runner/job/home/in it $x, umask 0022, limit unlimited, input mnt:',
      'words on standard error',
      'ended with 7',
    ])
  })

  it('has no variable, limit, mask or open file of the job', async () => {
    const [found = []] = await inJob(`
      export PATH=$HOME/bin:$PATH BASH_ENV=$HOME/evil ENV=$HOME/evil LD_PRELOAD=/tmp/evil.so PERL5LIB=$HOME MARK=job
      export SUDO_UID=0 SUDO_USER=root IFS=/ PS4='$(touch /tmp/evil)' SHELLOPTS BASHOPTS TMPDIR=/tmp http_proxy=x TERM=x
      mkdir -p bin; printf '#!/bin/sh\\necho EVIL\\n' | tee evil >bin/id; cp evil bin/env; cp evil bin/nsenter; chmod +x bin/*
      id() { echo EVIL; }; export -f id
      ulimit -f 1; umask 0; exec 9<evil
      sudo -n ${DEPLOY}`)
    expect(found.join('\n')).not.toMatch(/EVIL|^variable MARK/m)
    const names = found.flatMap((line) => /^variable (\w+)=/.exec(line)?.[1] ?? [])
    // The first ones are systemd's for any service; which of them depends on its version.
    const known = [
      'INVOCATION_ID',
      'LANG',
      'MEMORY_PRESSURE_WATCH',
      'MEMORY_PRESSURE_WRITE',
      'SYSTEMD_EXEC_PID',
      'USER',
    ]
    expect(names.filter((name) => !known.includes(name)).sort()).toEqual([
      'PATH',
      'PWD',
      'SEEDER_CALLED_FROM',
      'SHLVL',
      'SUDO_UID',
      'SUDO_USER',
    ])
    expect(found.find((line) => line.startsWith('variable PATH='))).toMatch(
      /=\/usr\/local\/sbin:\/usr\/local\/bin:\/usr\/sbin:\/usr\/bin(:\/sbin:\/bin)?$/,
    )
    expect(found).toContain(`variable SUDO_UID=${await host.machine.read('id -u seeder-runner')}`)
    expect(found).toContain('variable SUDO_USER=seeder-runner')
    expect(found.find((line) => line.startsWith('folder'))).toMatch(/umask 0022, limit unlimited/)
  })

  it('goes on when its job ends, and remove waits for it', async () => {
    const { machine } = host
    await machine.read(
      `cp ${DEPLOY} /shared/kept; printf '#!/bin/bash\\nsleep 5\\ntouch /shared/deployed\\n' >${DEPLOY}`,
    )
    await host.job(
      `sudo -n ${DEPLOY} >/dev/null 2>&1 & until [ -e /shared/deployed ] || systemctl 2>/dev/null; do sleep 1; break; done`,
    )
    const { all, exitCode } = await host.runner('remove')
    expect([exitCode, all]).toEqual([
      1,
      'runner: deploy.sh is at work for a job\n  → wait for its end (deploy.sh --list)',
    ])
    expect((await host.runner('status')).all).toContain('deploy.sh  at work for a job')
    await machine.until('[ -e /shared/deployed ]')
    await machine.read(`cat /shared/kept >${DEPLOY}`)
  })

  it('is not reached from a namespace of the job', async () => {
    const [found = []] = await inJob(
      `unshare --user --map-root-user --mount sh -c 'umount ${DEPLOY}; sudo -n ${DEPLOY}'`,
    )
    expect(found.join('\n')).not.toContain('deploy.sh as root')
    expect(found.at(-1)).not.toBe('ended with 0')
  })
})

describe('sudo', () => {
  it('starts the installed file by its path, and as root only', async () => {
    const found = await inJob(`sudo -n /usr/local/lib/../lib/seeder/./deploy.sh`, `sudo -n -u root ${DEPLOY}`)
    for (const lines of found) expect(lines).toContain('deploy.sh as root, sees /etc/pve: local nodes')
  })

  it('lets a job do nothing else', async () => {
    const attempts = [
      'sudo -n id',
      'sudo -n bash',
      'sudo -n -s',
      'sudo -n -i',
      'sudo -n bash /usr/local/lib/seeder/deploy.sh',
      'sudo -n /usr/local/lib/seeder/runner.sh remove',
      'sudo -n /usr/local/lib/seeder/deploy-outside',
      `sudo -n ${DEPLOY}x`,
      `sudo -n "${DEPLOY} x"`,
      `sudo -n ${DEPLOY}/../../../../bin/id`,
      `ln -s ${DEPLOY} link.sh; sudo -n ./link.sh`,
      `ln -s ${DEPLOY} deploy.sh; sudo -n ./deploy.sh`,
      `rm deploy.sh; cp ${DEPLOY} deploy.sh; sudo -n ./deploy.sh`,
      `sudo -n -u daemon ${DEPLOY}`,
      `sudo -n -g daemon ${DEPLOY}`,
      `sudo -n -E ${DEPLOY}`,
      `sudo -n --preserve-env=PATH ${DEPLOY}`,
      `sudo -n MARK=job ${DEPLOY}`,
      `sudo -n LD_PRELOAD=/tmp/evil.so ${DEPLOY}`,
      `sudo -n -D /tmp ${DEPLOY}`,
      `sudo -n -R /tmp ${DEPLOY}`,
      `sudo -n -C 20 ${DEPLOY}`,
      `sudo -n -T 1 ${DEPLOY}`,
      `sudo -n -e ${DEPLOY}`,
      'sudo -n -e /etc/sudoers.d/seeder-runner',
      `sudoedit -n ${DEPLOY}`,
      'sudo -n -l -U root',
    ]
    const found = await inJob(...attempts)
    expect(found.map((lines, index) => [attempts[index], lines.at(-1)])).toEqual(
      attempts.map((attempt) => [attempt, 'ended with 1']),
    )
    expect(found.flat().filter((line) => /deploy\.sh as root|uid=0/.test(line))).toEqual([])
  })

  it('lists no more than that', async () => {
    const [found = []] = await inJob('sudo -n -l')
    expect(
      found.slice(found.findIndex((line) => line.includes('may run'))).map((line) => line.trim()),
    ).toEqual([
      expect.stringContaining('User seeder-runner may run the following commands on '),
      `(root : root) NOSETENV: NOPASSWD: ${DEPLOY}`,
      'ended with 0',
    ])
  })
})
