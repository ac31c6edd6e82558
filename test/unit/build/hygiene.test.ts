import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { digestCleanDisk, FIND_LEFTOVERS, requireClean } from '../../../src/build/hygiene.ts'
import { sha256File } from '../../../src/store/digest.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder hygiene '))
let tree = ''
let count = 0
const { stdout: pkcs8 } = await execa('openssl', ['genpkey', '-algorithm', 'ed25519'])
afterAll(() => rm(root, { recursive: true }))
beforeEach(async () => {
  tree = join(root, String(count++))
  await put('etc/shadow', 'root:*:19000:0:99999:7:::\ndaemon:!*:19000::::::\nsshd:!:19000::::::\n')
  // As base-passwd writes them in one release and in the next.
  await put(
    'etc/passwd',
    'root:x:0:0:root:/root:/bin/bash\ndaemon:*:1:1::/:/usr/sbin/nologin\nnone:!:2:2::/:/bin/sh\n',
  )
  await put('etc/group', 'root:x:0:\nadm:*:4:\nops::5:\n')
  await put('etc/gshadow', 'root:*::\nadm:!::\nops:::\n')
  await put('etc/machine-id', '')
  await put('etc/ssh/sshd_config', 'PasswordAuthentication no\n')
})

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(tree, path)), { recursive: true })
  await writeFile(join(tree, path), text)
}

/** mawk is Debian's awk and what the tools tree has; another awk of this machine does as well here. */
async function findings(script: string): Promise<string[]> {
  const bin = join(root, 'bin')
  await mkdir(bin, { recursive: true })
  await writeFile(join(bin, 'mawk'), '#!/bin/sh\nexec awk "$@"\n')
  await chmod(join(bin, 'mawk'), 0o755)
  const PATH = `${process.env.PATH}:${bin}`
  const { stdout } = await execa('sh', ['-euc', script], { cwd: tree, env: { PATH } })
  return stdout.split('\n').filter(Boolean).sort()
}

describe('the look at the root file system', () => {
  it('finds nothing in a clean one', async () => {
    expect(await findings(FIND_LEFTOVERS)).toEqual([])
  })

  it.each([
    ['ssh host key', 'etc/ssh/ssh_host_ed25519_key.pub', 'ssh-ed25519 AAAA'],
    ['random seed', 'var/lib/systemd/random-seed', 'x'],
    ['credential secret', 'var/lib/systemd/credential.secret', 'x'],
    ['DHCP lease', 'var/lib/dhcp/dhclient.eth0.leases', 'x'],
    ['cloud-init instance', 'var/lib/cloud/instances/i-1', 'x'],
    ['shell history', 'root/.bash_history', 'ls'],
    ['authorized key', 'root/.ssh/authorized_keys', 'ssh-ed25519 AAAA'],
    ['machine-id', 'etc/machine-id', '0123456789abcdef0123456789abcdef\n'],
    ['machine-id', 'var/lib/dbus/machine-id', '0123456789abcdef0123456789abcdef\n'],
    ['log or package list', 'var/log/dpkg.log', 'x'],
    ['log or package list', 'var/lib/apt/lists/x_InRelease', 'x'],
    ['log or package list', 'var/cache/apt/pkgcache.bin', 'x'],
  ])('finds a %s: %s', async (kind, path, text) => {
    await put(path, text)
    expect(await findings(FIND_LEFTOVERS)).toEqual([`${kind}\t/${path}`])
  })

  it('finds password hashes, empty passwords and passwords in passwd', async () => {
    await put('etc/shadow', 'root:$y$j9T$abc$def:19000::::::\nops::19000::::::\nok:!$y$j9T$locked:1::::::\n')
    await put('etc/passwd', 'root:x:0:0::/:/bin/sh\nold:$1$x$y:1:1::/:/bin/sh\nnone::2:2::/:/bin/sh\n')
    expect(await findings(FIND_LEFTOVERS)).toEqual([
      'password of none\t/etc/passwd',
      'password of ok\t/etc/shadow',
      'password of old\t/etc/passwd',
      'password of ops\t/etc/shadow',
      'password of root\t/etc/shadow',
    ])
  })

  it('finds the password of a group', async () => {
    await put('etc/group', 'root:x:0:\nold:$1$x$y:4:\n')
    await put('etc/gshadow', 'root:*::\nadm:$y$j9T$abc$def::\n')
    expect(await findings(FIND_LEFTOVERS)).toEqual([
      'password of group adm\t/etc/gshadow',
      'password of group old\t/etc/group',
    ])
  })
})

describe('the look at the raw disk', () => {
  const MIB = 1 << 20

  /** A disk of zeros with a text at an offset. */
  async function disk(offset: number, text: string): Promise<string> {
    const bytes = Buffer.alloc(9 * MIB)
    bytes.write(text, offset)
    const file = join(tree, 'disk.raw')
    await writeFile(file, bytes)
    return file
  }

  it('gives digest and size of a clean one', async () => {
    const file = await disk(5 * MIB, '-----BEGIN PRIVATE KEY----- is what ssh looks for')
    expect(await digestCleanDisk(file)).toEqual({ sha256: await sha256File(file), size: 9 * MIB })
  })

  // 4 MiB is where one chunk that is read ends and the next begins.
  it.each([0, 4 * MIB - 300, 4 * MIB - 40, 4 * MIB - 11, 4 * MIB, 4 * MIB + 3, 9 * MIB - pkcs8.length])(
    'finds a key at %i and says where',
    async (offset) => {
      const file = await disk(offset, pkcs8)
      const header = offset + '-----BEGIN '.length
      await expect(digestCleanDisk(file)).rejects.toThrow(
        `The image must not be made: the disk has private key in offset ${header}`,
      )
    },
  )
})

it('what was found is named in one line with what to do', () => {
  expect(() => requireClean('/usr', '')).not.toThrow()
  expect(() => requireClean('/usr', 'private key\t/usr/a\nmachine-id\t/etc/machine-id\n')).toThrow(
    expect.objectContaining({
      message: 'The image must not be made: /usr has private key in /usr/a; machine-id in /etc/machine-id',
      fix: expect.stringContaining('remove it'),
    }),
  )
})
