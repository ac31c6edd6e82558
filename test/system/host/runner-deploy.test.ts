import { rm } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { testFolder } from '../../support/builds.ts'
import { makeSmallImage } from '../../support/deploy/image.ts'
import { furnishDeploying } from '../../support/host/deploying.ts'
import { TOKEN } from '../../support/host/github.ts'
import { RunnerHost } from '../../support/host/runner-host.ts'

/** The real deploy.sh, started by a job: which files it reads, and how much of the host it takes. */
const DEPLOY = 'sudo -n /usr/local/lib/seeder/deploy.sh'
const root = await testFolder('runner-deploy')

let host: RunnerHost
beforeAll(async () => {
  const { folder } = await makeSmallImage(`${root}/image`)
  host = await RunnerHost.prepare()
  await furnishDeploying(host, folder)
  await host.install()
})
afterEach(async () => {
  await host.machine.read('rm -f /shared/hold')
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
  await rm(root, { recursive: true, force: true })
})

/** What systemd says of a unit. */
async function shown(unit: string, properties: readonly string[]): Promise<string[]> {
  const script = 'unit=$1; shift; for name; do systemctl show -P "$name" "$unit"; done'
  return (await host.machine.read(script, unit, ...properties)).split('\n')
}

describe('an image is read', () => {
  it('where the job sees it, also from a folder that nobody else sees', async () => {
    const found = await host.job(`
      cp -r /shared/image /tmp/image; cp -r /shared/image ~/image; cd /tmp
      for folder in /tmp/image image ~/image; do ${DEPLOY} --dry-run $folder 2>&1; echo "ended with $?"; done`)
    expect(found.filter((line) => line.startsWith('ended'))).toEqual(Array(3).fill('ended with 0'))
    expect(found.filter((line) => line.includes('is going to be template 9000'))).toHaveLength(3)
  })

  it('neither where the sandbox hides it, nor with more rights than the job has', async () => {
    const { machine } = host
    await machine.read(`
      mkdir -p /srv/image /var/lib/closed; cp /shared/image/* /srv/image; cp -r /shared/image /var/lib/closed; chmod 700 /var/lib/closed`)
    const found = await host.job(`
      ln -s /srv/image ~/link
      for folder in /srv/image ~/link /proc/self/root/srv/image /proc/1/root/srv/image /var/lib/closed/image; do
        ${DEPLOY} --dry-run $folder 2>&1; echo "ended with $?"
      done`)
    expect(found.filter((line) => line.startsWith('ended'))).toEqual(Array(5).fill('ended with 1'))
    expect(found.join('\n')).not.toContain('all digests are right')
  })

  it('and no file of root’s, whatever the job mounts: neither what is in it nor its digest is printed', async () => {
    const { machine } = host
    const files = ['/etc/seeder/runner.token', '/etc/shadow']
    const digests = (
      await machine.read(`sha256sum ${files.join(' ')} | cut -c 1-64 | tee /shared/digests`)
    ).split('\n')
    const found = await host.job(`
      unshare --user --map-root-user --mount bash -c '
        mkdir ~/mounted; mount -t tmpfs tmpfs ~/mounted; cd ~/mounted
        for file in ${files.join(' ')}; do read -r digest; for name in SHA256SUMS SHA256SUMS.sig template.conf; do
          mkdir -p $name$file; cp /shared/image/* $name$file; touch $name$file/$name
          sed -i "/template.conf/d" $name$file/SHA256SUMS; echo "$digest  template.conf" >>$name$file/SHA256SUMS
          mount --bind $file $name$file/$name
        done; done </shared/digests
        touch ready; until [ -e ~/done ]; do sleep 0.1; done' & holder=$!
      until [ -e /proc/$holder/root$HOME/mounted/ready ]; do sleep 0.1; done
      for name in SHA256SUMS SHA256SUMS.sig template.conf; do for file in ${files.join(' ')}; do
        ${DEPLOY} --dry-run /proc/$holder/root$HOME/mounted/$name$file 2>&1; echo "ended with $?"
      done; done
      touch ~/done; wait $holder`)
    for (const secret of [TOKEN, 'root:', ...digests]) expect(found.join('\n')).not.toContain(secret)
    expect(found.filter((line) => line.startsWith('ended'))).toEqual(Array(6).fill('ended with 1'))
    expect(found.filter((line) => line.includes('as seeder-runner, who named it'))).toHaveLength(6)
  })
})

describe('a job that starts deploy.sh again and again', () => {
  const copies = 'ls /var/lib/seeder/stage'
  const services = (kind: string) =>
    `systemctl list-units --plain --no-legend --state=active,activating 'seeder-deploy-${kind}-*' | cut -d ' ' -f 1`

  it('has one plan at a time, in a slice with limits and an end; nothing is left of it', async () => {
    const { machine } = host
    await machine.read('touch /shared/hold')
    const name = await host.beginJob(`
      for number in {1..12}; do (${DEPLOY} --dry-run /shared/image >/dev/null 2>~/said-$number; echo $? >~/ended-$number) & done
      until [ $(cat ~/ended-* 2>/dev/null | wc -l) = 11 ]; do sleep 0.1; done
      cat ~/ended-* | sort | uniq -c; cat ~/said-* | grep 'deploy: ' | sort -u; wait; cat ~/ended-* | grep -cx 0`)
    await machine.until(
      `[ "$(${copies} | wc -l)" = 1 ] && journalctl -o cat | grep -q 'another deploy or plan of a job'`,
    )
    const [unit = '', ...others] = (await machine.read(services('*'))).split('\n')
    expect([unit, others]).toEqual([expect.stringMatching(/^seeder-deploy-change-\d+-\d+\.service$/), []])
    expect(await shown(unit, ['Slice', 'RuntimeMaxUSec'])).toEqual(['seeder-deploy.slice', '30min'])
    const cgroup = await machine.read(`cat /proc/$(systemctl show -P MainPID ${unit})/cgroup`)
    expect(cgroup).toContain(`seeder.slice/seeder-deploy.slice/${unit}`)
    expect(await machine.read('pgrep -c -P 1 -f "^/bin/bash -p /usr/local/lib/seeder/deploy.sh"')).toBe('1')
    await machine.read('rm /shared/hold')
    await machine.until(`journalctl -o cat | grep -qx '${name} ends'`)
    const lines = (await machine.read('journalctl -o cat --identifier run.sh')).split('\n')
    expect(
      lines
        .slice(lines.indexOf(`${name} begins`) + 1, lines.indexOf(`${name} ends`))
        .map((line) => line.trim()),
    ).toEqual(['11 75', 'deploy: another deploy or plan of a job is at work on this host', '1'])
    expect(await machine.read(copies)).toBe('')
  })

  it('has one check at a time, and lists one after the other', async () => {
    const { machine } = host
    await machine.read(
      'mkdir -p /var/lib/seeder; systemd-run --quiet --unit=held flock /var/lib/seeder/lock.check sleep 600',
    )
    await machine.until('! flock --nonblock /var/lib/seeder/lock.check true')
    const found = await host.job(`
      for number in {1..4}; do (${DEPLOY} --list >/dev/null 2>&1; echo list $?) & done; wait
      ${DEPLOY} --check 2>&1; echo check $?`)
    expect(found).toEqual([
      ...Array(4).fill('list 0'),
      'deploy: another --check is at work on this host',
      '  → try again when it has ended',
      'check 75',
    ])
    await machine.read('systemctl stop held')
  })

  it('may end: the next job finds the running deploy, which ends when its time is over', async () => {
    const { machine } = host
    await machine.read('touch /shared/hold')
    const name = await host.beginJob(
      `${DEPLOY} --dry-run /shared/image >/dev/null 2>&1 & until [ -e /shared/seen ]; do sleep 0.1; done`,
    )
    await machine.until(`[ -n "$(${services('change')})" ] && [ "$(${copies} | wc -l)" = 1 ]`)
    await machine.read('touch /shared/seen')
    await machine.until(`journalctl -o cat | grep -qx '${name} ends'`)
    expect(await host.job(`${DEPLOY} --rollback haproxy 2>&1; echo $?`)).toEqual([
      'deploy: another deploy or plan of a job is at work on this host',
      '  → try again when it has ended',
      '75',
    ])
    // As systemd does when the time is over.
    await machine.read(`systemctl stop $(${services('change')})`)
    expect(await machine.read(copies)).toBe('')
    await machine.read('rm /shared/hold')
    expect((await host.job(`${DEPLOY} --rollback haproxy 2>&1; echo $?`)).at(-1)).toBe('1')
  })
})

it('all that jobs have deploy.sh do shares what one slice may take', async () => {
  const { machine } = host
  const properties = [
    'CPUWeight',
    'CPUQuotaPerSecUSec',
    'IOWeight',
    'MemoryHigh',
    'MemoryMax',
    'MemorySwapMax',
    'TasksMax',
  ]
  expect(await shown('seeder-deploy.slice', properties)).toEqual([
    '20',
    '2s',
    '20',
    String(2 ** 30),
    String(2 ** 31),
    '0',
    '512',
  ])
  const { exitCode, all } = await machine.bash(
    'systemd-analyze verify /etc/systemd/system/seeder-deploy.slice',
  )
  expect([exitCode, all.split('\n').filter((line) => line.includes('seeder'))]).toEqual([0, []])
})
