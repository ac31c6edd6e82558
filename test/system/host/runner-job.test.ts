import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TOKEN } from '../../support/host/github.ts'
import { RunnerHost } from '../../support/host/runner-host.ts'

let host: RunnerHost
beforeAll(async () => {
  host = await RunnerHost.prepare()
  await host.install()
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

const started = async () => (await host.machine.read('journalctl -o cat -u seeder-runner-job')).split('\n')

describe('a job gets', () => {
  it('a runner of its own, whose configuration nobody else sees', async () => {
    const { machine } = host
    await host.idle()
    const lines = await started()
    expect(lines).toContain("run.sh as seeder-runner in /var/lib/seeder-runner/job/runner with arguments ''")
    const config = lines.find((line) => line.includes('JITCONFIG='))?.split('JITCONFIG=')[1] ?? ''
    expect(JSON.parse(Buffer.from(config, 'base64').toString())).toHaveProperty('.runner')
    expect(lines.join('\n')).not.toContain(TOKEN)

    const pid = await machine.read('systemctl show -P MainPID seeder-runner-job')
    const asAnother = async (line: string) =>
      (await machine.run(['bash', '-c', line], { user: 'daemon' })).all
    expect(await asAnother(`cat /proc/${pid}/environ`)).toContain('Permission denied')
    expect(await asAnother('cat /run/seeder-runner/job.env')).toContain('Permission denied')
    expect(
      await asAnother('cat /proc/[0-9]*/cmdline; systemctl show seeder-runner seeder-runner-job'),
    ).not.toContain(config)
    expect(await machine.read('stat -c "%a %U" /run/seeder-runner /run/seeder-runner/job.env')).toBe(
      '700 root\n600 root',
    )
    expect(await machine.read('journalctl -o cat -u seeder-runner')).not.toContain(config.slice(0, 20))
  })

  it('no token: not in a file, not in the environment, not on a command line', async () => {
    const found = await host.job(`
      cat /etc/seeder/runner.token /etc/seeder/runner.conf /run/seeder-runner/job.env 2>&1
      grep -rls '[g]ithub_pat' /etc /run /var /usr/local ~ /dev/shm 2>/dev/null
      cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep '[g]ithub_pat'`)
    expect(found.join('\n')).not.toContain(TOKEN)
    expect(found).toEqual([
      'cat: /etc/seeder/runner.token: Permission denied',
      'cat: /etc/seeder/runner.conf: Permission denied',
      'cat: /run/seeder-runner/job.env: Permission denied',
    ])
  })

  it('user namespaces with its own ids and its own /proc, a tap device, and loopback', async () => {
    const [first] = (await host.machine.read('grep ^seeder-runner: /etc/subuid')).split(':').slice(1)
    const found = await host.job(`
      grep NoNewPrivs /proc/self/status
      unshare --user --mount --pid --net --fork sh -c '
        until [ "$(id -u)" = 0 ]; do sleep 0.1; done
        mount -t proc proc /proc && mount -t tmpfs tmpfs /tmp && ip link set lo up && ip tuntap add tap0 mode tap
        touch /tmp/x && chown 9:9 /tmp/x && stat -c %u:%g /tmp/x; echo processes $(ls /proc | grep -c "^[0-9]")' &
      sleep 0.3; newuidmap $! 0 $(id -u) 1 1 ${first} 100 && newgidmap $! 0 $(id -g) 1 1 ${first} 100; wait $!
      perl -MIO::Socket::INET -e 'print "loopback\\n" if IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")'`)
    expect(found[0]).toMatch(/NoNewPrivs:\s*0/)
    expect(found.slice(1)).toEqual(['9:9', expect.stringMatching(/^processes [1-9]$/), 'loopback'])
  })
})

it('a job is refused everything that it does not need', async () => {
  const attempts: [string, string, RegExp][] = [
    ['read the files of root', 'cat /etc/shadow', /Permission denied/],
    ['see the configuration of Proxmox VE', 'ls /etc/pve', /Permission denied/],
    ['see the ledger of deploy.sh', 'mkdir -p /var/lib/seeder/x', /Read-only file system|Permission denied/],
    ['see homes', 'ls /root', /Permission denied/],
    ['change what sudo starts', 'echo >/usr/local/lib/seeder/deploy.sh', /Read-only|Permission denied/],
    ['uncover it', 'umount /usr/local/lib/seeder/deploy.sh', /must be superuser|not permitted/],
    ['write outside its folder', 'touch /var/lib/seeder-runner/x', /Read-only file system|Permission denied/],
    ['write to /run/lock', 'touch /run/lock/x', /Read-only file system/],
    ['leave a crontab', 'touch /var/spool/cron/crontabs/x', /Permission denied/],
    ['see the processes of others', 'ls -d /proc/1', /No such file or directory/],
    ['signal its root part', 'kill -9 "$(cat /shared/service)"', /not permitted|No such process/],
    ['talk to the system bus', 'busctl --system list', /Failed to connect/],
    ['start units', 'systemctl --no-ask-password restart x', /Failed to connect/],
    ['leave its control group', 'echo $$ >/sys/fs/cgroup/cgroup.procs', /Read-only|denied/],
    ['write to the next program', 'echo x >>~/../runner/run.sh', /Permission denied/],
    ['change settings of the kernel', 'echo 1 >/proc/sys/kernel/printk', /Permission denied|Read-only/],
  ]
  await host.idle()
  await host.machine.read('systemctl show -P MainPID seeder-runner >/shared/service')
  const script = attempts.map(
    ([what, line]) =>
      `echo "$( (${line}) 2>&1 | head -n 1; echo "\${PIPESTATUS[0]}" )" | paste -sd ' ' | sed 's|^|${what}: |'`,
  )
  const lines = await host.job(script.join('\n'))
  expect(lines).toEqual(
    attempts.map(([what, , found]) =>
      expect.stringMatching(new RegExp(`^${what}: .*(${found.source}).* [1-9]\\d*$`)),
    ),
  )
})

describe('after a job', () => {
  it('no process or file of it is left, and the next job begins like the first', async () => {
    const { machine } = host
    const before = await machine.read(
      'find /var/lib/seeder-runner/program -type f -print0 | xargs -0 sha256sum',
    )
    await host.job(`
      touch ~/left /tmp/left /var/tmp/left /dev/shm/left ~/../runner/left; mkdir -p ~/a/b; chmod 000 ~/a
      rm ~/../runner/run.sh; echo evil >~/../runner/run.sh; chmod +x ~/../runner/run.sh
      ipcmk --shmem 4096 --queue >/dev/null
      setsid --fork sleep 4001; (nohup sleep 4002 >/dev/null 2>&1 &)
      unshare --user --map-root-user --pid --fork --mount setsid --fork sleep 4003
      exec -a kworker sleep 4004 & disown -a
      sleep 0.2; pgrep -f 'sleep 400|kworker' | wc -l`)
    await host.idle()
    expect((await machine.bash('pgrep -fa "[s]leep 400[0-9]|[k]worker 400"')).stdout).toBe('')
    const lines = await host.job(`
      find / -name left -not -path '/proc/*' 2>/dev/null; ls -A ~; ipcs -m -q | grep -c ^0x; cat ~/../runner/run.sh | head -1`)
    expect(lines).toEqual(['0', '#!/bin/bash'])
    expect(
      await machine.read('find /var/lib/seeder-runner/program -type f -print0 | xargs -0 sha256sum'),
    ).toBe(before)
    expect(
      (
        await machine.bash(
          'find / -xdev -name left -not -path "/usr/*"; find /tmp /var/tmp /dev/shm -name left',
        )
      ).stdout,
    ).toBe('')
  })

  it('GitHub removes every runner that it made', async () => {
    await host.idle()
    const requests = await host.requests()
    const count = (method: string) => requests.filter((request) => request.method === method).length
    expect(count('DELETE')).toBe(count('POST') - 1)
  })
})

describe('when the root part is killed', () => {
  it('its job ends with it, and a new one follows', async () => {
    const { machine } = host
    await host.beginJob('setsid --fork sleep 4005; touch ~/left; sleep 600')
    await machine.read('kill -KILL "$(systemctl show -P MainPID seeder-runner)"')
    await machine.until('! pgrep -f "[s]leep 4005"')
    expect(await host.job('ls -A ~; echo clean')).toEqual(['clean'])
  })

  it('the same with everything that runs for it, as in a power cut', async () => {
    const { machine } = host
    await host.beginJob('sleep 600')
    await machine.read(`
      mkdir -p /run/systemd/system/seeder-runner.service.d
      printf '[Service]\\nExecStopPost=\\nRestart=no\\n' >/run/systemd/system/seeder-runner.service.d/cut.conf
      systemctl daemon-reload; systemctl kill -s KILL seeder-runner seeder-runner-job
      rm -r /run/systemd/system/seeder-runner.service.d; systemctl daemon-reload; sleep 0.5`)
    expect(await machine.read('ls /var/lib/seeder-runner')).toBe('job\nprogram\nregistered')
    const left = await machine.read('cat /var/lib/seeder-runner/registered')
    await machine.read('systemctl start seeder-runner')
    expect(await host.job('ls -A ~; echo clean')).toEqual(['clean'])
    expect(
      (await host.requests()).filter(({ method, url }) => method === 'DELETE' && url.endsWith(`/${left}`)),
    ).toHaveLength(1)
  })
})

it('a runner that is stopped may end its job properly, and is gone then', async () => {
  const { machine } = host
  await host.beginJob('setsid --fork sleep 4006; sleep 600')
  await machine.read('systemctl stop seeder-runner')
  expect(await started()).toContain('run.sh got a signal to stop')
  expect((await machine.bash('pgrep -U seeder-runner')).stdout).toBe('')
  expect(await machine.read('ls /var/lib/seeder-runner; ls /run | grep seeder; true')).toBe('program')
  await machine.read('systemctl start seeder-runner')
})

it('a runner that ends at once is started more and more seldom, until a new one is installed', async () => {
  const { machine } = host
  await machine.read(
    'cd /shared && rm -rf broken && cp -r program-2.337.0 broken && printf "#!/bin/sh\\necho no libicu\\n" >broken/run.sh',
  )
  await machine.read('tar -C /shared/broken -czf /shared/actions-runner-linux-x64-2.339.0.tar.gz .')
  const digest = (await machine.read('sha256sum /shared/actions-runner-linux-x64-2.339.0.tar.gz')).slice(
    0,
    64,
  )
  await host.runner(
    'install',
    '--archive',
    '/shared/actions-runner-linux-x64-2.339.0.tar.gz',
    '--sha256',
    digest,
  )
  await machine.until('journalctl -o cat -u seeder-runner | grep -q "ended at once; again in 4 s"')
  const waits = (await machine.read('journalctl -o cat -u seeder-runner | grep "at once"')).split('\n')
  expect(waits).toEqual([2, 4].map((seconds) => `runner: the runner ended at once; again in ${seconds} s`))
  expect((await host.runner('status')).all).toContain(
    'problem    the runner ended at once\n             → journalctl -u seeder-runner-job.service says why',
  )
  await host.install()
  expect(await host.job('echo works')).toEqual(['works'])
})

it('the stand-in for a runner is unpacked as it was packed', async () => {
  // Otherwise the tests above would say nothing about the program that was installed.
  const packed = await readFile(`${host.machine.shared}/program-2.337.0/run.sh`, 'utf8')
  expect(`${await host.machine.read('cat /var/lib/seeder-runner/program/*/run.sh')}\n`).toBe(packed)
})
