import type { ChildProcess } from 'node:child_process'
import { chmod, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HostResult, PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { deployScript, inventory, mustDeploy, startHost } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'

/** Whose eyes deploy.sh reads an image with: those of whoever called sudo. Unsigned images are taken here. */
const root = await testFolder('deploy-caller')
const UID = 1000
let host: PveHost
let image: SmallImage
let untouched: string

beforeAll(async () => {
  await chmod(root, 0o755)
  image = await makeSmallImage(join(root, 'image'))
  host = await startHost(join(root, 'host'))
  await host.run(['sh', '-c', 'echo STORAGE=local >>/etc/seeder/deploy.conf'])
  await mustDeploy(host, ['--recover'])
  // One for root alone, with a secret in it.
  await shell(`umask 077; cp -r '${image.folder}' /var/lib/secret; echo 'the-secret-of-root' >/var/lib/secret/token
    cp -r /var/lib/secret /var/lib/grouped; chmod -R g+rX /var/lib/grouped
    mkdir -m 755 /var/lib/mine; cp -r '${image.folder}' /var/lib/mine/image; chown -R ${UID}:${UID} /var/lib/mine`)
  untouched = await inventory(host)
})
afterAll(async () => {
  await host.remove()
  await rm(root, { recursive: true, force: true })
})

async function shell(script: string, ...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await host.run(['bash', '-euc', script, 'bash', ...argv])
  if (code !== 0) throw new Error(stderr)
  return stdout
}

const asUser = (script: string) => [
  'setpriv',
  `--reuid=${UID}`,
  `--regid=${UID}`,
  '--clear-groups',
  'bash',
  '-euc',
  script,
]

/** A plan for a folder, called through sudo by a normal user. */
function plan(folder: string, input = '/dev/null'): Promise<HostResult> {
  return host.run(['bash', '-c', 'exec "$0" --dry-run "$1" <"$2"', deployScript, folder, input], {
    env: { SUDO_UID: String(UID), SUDO_USER: 'somebody' },
  })
}

/** Starts the user's script in a user and mount namespace of his; the process that holds it, as the host counts it. */
async function namespace(script: string): Promise<{ pid: string; holder: ChildProcess }> {
  const words = [
    'setpriv',
    `--reuid=${UID}`,
    `--regid=${UID}`,
    '--clear-groups',
    'unshare',
    '--user',
    '--map-root-user',
  ]
  const holder = host.spawn([
    ...words,
    '--mount',
    'bash',
    '-euc',
    `cd /\n${script}\necho $$; read -r _ || true`,
  ])
  const said: Promise<string> = new Promise((resolve, reject) => {
    holder.stdout?.once('data', (line) => resolve(String(line).trim()))
    holder.once('close', (code) => reject(new Error(`the namespace ended with ${code}`)))
  })
  return { pid: await said, holder }
}

async function end(holder: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => holder.once('close', resolve))
  holder.stdin?.end()
  await closed
}

const NAMES = [
  'SHA256SUMS',
  'SHA256SUMS.sig',
  'template.conf',
  'haproxy-3.0.11-1.manifest.json',
  'haproxy-3.0.11-1.qcow2',
]

test.each(NAMES)('a file of root’s that the caller has mounted over his %s is not read', async (name) => {
  // Nobody needs the right to read a file to mount it somewhere. What is in it, and its digest, stay unknown.
  const digest = (await shell('sha256sum </etc/shadow')).slice(0, 64)
  const { pid, holder } = await namespace(`
    mount -t tmpfs tmpfs /mnt; cp /var/lib/mine/image/* /mnt; touch /mnt/${name}
    sed -i '/ ${name}$/d' /mnt/SHA256SUMS; [ ${name} = SHA256SUMS ] || echo '${digest}  ${name}' >>/mnt/SHA256SUMS
    mount --bind /etc/shadow /mnt/${name}`)
  for (const [folder, input] of [
    [`/proc/${pid}/root/mnt`, '/dev/null'],
    [`/proc/${pid}/cwd/mnt`, '/dev/null'],
    ['/mnt', `/proc/${pid}/ns/mnt`],
  ] as const) {
    const { code, stderr, stdout } = await plan(folder, input)
    expect(stderr).toMatch(
      new RegExp(
        `could not read ${folder}/${name} as .*, who named it\n {2}→ let .* read it, or start deploy\\.sh as root`,
      ),
    )
    expect(code).toBe(1)
    expect(stderr + stdout).not.toContain(digest)
    expect(stderr + stdout).not.toMatch(/root:|[0-9a-f]{64}/)
  }
  await end(holder)
  expect(await inventory(host)).toBe(untouched)
})

test('a folder that only root can read is refused to the caller, whatever its path', async () => {
  await shell(
    asUserText(
      `ln -sfn /var/lib/secret /var/lib/mine/link; mkdir -p /var/lib/mine/links; cd /var/lib/mine/links; for name in ${NAMES.join(' ')}; do ln -sf /var/lib/secret/$name .; done`,
    ),
  )
  for (const folder of [
    '/var/lib/secret',
    '/var/lib/grouped',
    '/var/lib/mine/link',
    '/var/lib/mine/../secret',
  ]) {
    const { code, stderr } = await plan(folder)
    expect([code, stderr]).toEqual([1, expect.stringContaining(`could not read ${folder}/SHA256SUMS as `)])
  }
  const linked = await plan('/var/lib/mine/links')
  expect([linked.code, linked.stderr]).toEqual([1, expect.stringContaining('is not a plain file')])
  expect((await plan('/var/lib/mine/image')).code).toBe(0)
})

test('unsigned values are not printed, nor digests of wrong files', async () => {
  await shell(
    asUserText(`cd /var/lib/mine; rm -rf odd wrong; cp -r image odd; cp -r image wrong
      echo 'the secret of somebody' >>odd/template.conf; sha256sum odd/template.conf | sed 's| odd/| |' >odd/new
      sed -i '/template.conf/d' odd/SHA256SUMS; cat odd/new >>odd/SHA256SUMS; echo >>wrong/template.conf`),
  )
  const odd = await plan('/var/lib/mine/odd')
  expect(odd.stderr).toMatch(
    /template\.conf, line \d+: found something else \(not shown, as nobody has signed it\)/,
  )
  expect(odd.stderr).not.toContain('the secret')
  const wrong = await plan('/var/lib/mine/wrong')
  expect(wrong.stderr).toContain('template.conf is not what SHA256SUMS says\n')
  expect(wrong.stderr).not.toMatch(/[0-9a-f]{64}/)
})

test('a pipe or a device in the place of a file is not opened, whoever calls', async () => {
  await shell(
    asUserText(
      'cd /var/lib/mine; rm -rf pipe; cp -r image pipe; rm pipe/SHA256SUMS.sig 2>/dev/null || true; mkfifo pipe/SHA256SUMS.sig',
    ),
  )
  // Whoever opens a pipe to write to it waits until somebody opens it to read.
  const writer = host.spawn(asUser('echo waits; echo x >/var/lib/mine/pipe/SHA256SUMS.sig; echo opened'))
  let said = ''
  const ready = new Promise((resolve) => {
    writer.stdout?.on('data', (text) => {
      said += text
      resolve(said)
    })
  })
  await ready
  const asRoot = await host.run([deployScript, '--dry-run', '/var/lib/mine/pipe'])
  for (const { code, stderr } of [asRoot, await plan('/var/lib/mine/pipe')]) {
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('it has to be a plain file: no link, pipe or device'),
    ])
  }
  expect(said).toBe('waits\n')
  writer.kill('SIGKILL')
})

test('a mount namespace of the caller provides files, and no programs', async () => {
  const { pid, holder } = await namespace(`
    mkdir -p /tmp/evil
    for name in perl timeout bash sh dd df stat getent id; do printf '#!/bin/bash\\necho >>/tmp/evil/called\\n' >/tmp/evil/$name; done
    chmod 755 /tmp/evil/*; mount -t tmpfs tmpfs /srv; cp -r /var/lib/mine/image /srv/image
    for folder in /usr/lib/x86_64-linux-gnu/perl* /usr/share/perl* /usr/sbin /usr/bin; do mount --bind /tmp/evil $folder; done`)
  const { code, stderr } = await plan('/srv/image', `/proc/${pid}/ns/mnt`)
  await end(holder)
  expect([code, stderr]).toEqual([0, expect.stringContaining('qm create 9000')])
  expect(await shell('ls /tmp/evil; rm -rf /tmp/evil')).not.toContain('called')
  // Without it the folder is not there.
  expect((await plan('/srv/image')).stderr).toContain('it has no SHA256SUMS and template.conf')
})

/** The words of `asUser` for a shell. */
function asUserText(script: string): string {
  return asUser(script)
    .map((word) => `'${word.replaceAll("'", "'\\''")}'`)
    .join(' ')
}
