import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'

const SETUP = path.resolve(import.meta.dirname, '../../../scripts/setup.sh')
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'seeder-setup-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
})

/** Runs a line of bash that can call the functions of setup.sh; `commands` are stand-ins found before the real ones. */
async function bash(line: string, commands: Readonly<Record<string, string>> = {}) {
  const bin = path.join(folder, 'bin')
  await mkdir(bin, { recursive: true })
  for (const [name, body] of Object.entries(commands)) {
    await writeFile(path.join(bin, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  }
  return execa('bash', ['-c', `source "$1"; ${line}`, 'bash', SETUP], {
    cwd: folder,
    env: { PATH: `${bin}:${process.env.PATH}` },
    reject: false,
  })
}

describe('arguments', () => {
  it('refuses what it does not know', async () => {
    const { exitCode, stderr } = await execa(SETUP, ['--force'], { reject: false })
    expect(exitCode).toBe(1)
    expect(stderr).toBe("setup: unknown argument '--force'\n  → scripts/setup.sh [--check] [--tests]")
  })

  it('documents itself', async () => {
    const { stdout } = await execa(SETUP, ['--help'])
    expect(stdout).toContain('--check')
    expect(stdout).toContain('SEEDER_APT_LOCK_WAIT')
    expect(stdout).not.toContain('set -euo')
  })
})

it('installs a browser for the tests alone', async () => {
  const names = async (line: string) =>
    (await bash(`${line} required_packages | cut -d ' ' -f 1`)).stdout.split('\n')
  expect(await names('')).not.toContain('chromium')
  expect(await names('parse_arguments --tests;')).toContain('chromium')
  expect((await bash('parse_arguments --tests --check; echo $CHECK_ONLY')).stdout).toBe('1')
})

describe('QEMU', () => {
  it.each([
    ['QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)', '7'],
    ['QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright (c) 2003-2025', '10'],
    ['something else', ''],
  ])('reads the version of %j', async (text, major) => {
    expect((await bash(`qemu_major <<<${JSON.stringify(text)}`)).stdout).toBe(major)
  })

  it('requires a newer one when it is too old, and the tools when they are missing', async () => {
    const old = await bash('missing_qemu', { 'qemu-system-x86_64': 'echo QEMU emulator version 7.2.1' })
    expect(old.stdout).toMatch(/^qemu-system-x86 /)
    const fresh = await bash('missing_qemu', {
      'qemu-system-x86_64': 'echo QEMU emulator version 10.1.0',
      'qemu-img': '',
    })
    expect(fresh.stdout).toBe('')
  })

  it('takes a Go that can fetch a newer one, and only for the tests', async () => {
    const missing = async (version: string, mode = 'FOR_TESTS=1') =>
      (await bash(`${mode}; missing_go`, { go: `echo ${version}` })).stdout
    expect(await missing('go1.19.8')).toMatch(/^golang-go /)
    expect(await missing('go1.19.8', 'FOR_TESTS=')).toBe('')
    expect(await missing('go1.21.0')).toBe('')
    expect(await missing('go1.27.3')).toBe('')
  })

  it('leaves a Proxmox host alone', async () => {
    const commands = {
      pveversion: '',
      'qemu-system-x86_64': 'echo QEMU emulator version 7.2.1',
      'qemu-img': '',
    }
    expect((await bash('missing_qemu; missing_firmware; check_proxmox_qemu', commands)).stdout).toBe('')
  })

  it('sees in apt whether a source has one that is new enough', async () => {
    const line = (version: string) =>
      `echo 'qemu-system-x86 | ${version} | http://mirror.example/debian bookworm/main amd64 Packages'`
    const offers = async (...versions: string[]) =>
      (await bash('offers_version qemu-system-x86 10', { 'apt-cache': versions.map(line).join('\n') }))
        .exitCode
    expect(await offers('1:7.2+dfsg-7+deb12u18+b3')).toBe(1)
    expect(await offers('1:10.0.2+ds-2+deb13u1~bpo12+1', '1:7.2+dfsg-7')).toBe(0)
    expect(await offers()).toBe(1)
  })

  it("takes the mirror of Debian's archive, not that of another, and writes a signed source", async () => {
    const targets = [
      'Debian|Debian-Security|http://security.example/debian-security/',
      'Debian Backports|Debian Backports|http://other.example/debian/',
      'Debian|Debian|http://mirror.example/debian/',
      'Debian|Debian|http://mirror.example/debian/',
      'Example|Debian|http://example.example/',
    ]
    const { stdout } = await bash('backports_source "$(archive_mirror)" bookworm', {
      'apt-get': targets.map((target) => `echo '${target}'`).join('\n'),
    })
    expect(stdout).toBe(
      'Types: deb\nURIs: http://mirror.example/debian/\nSuites: bookworm-backports\nComponents: main\n' +
        'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg',
    )
  })
})

describe("the keys of Ubuntu's archive", () => {
  const missing = async (commands: Readonly<Record<string, string>> = {}) =>
    (await bash(`missing_ubuntu_keyring ${folder}/ubuntu.gpg`, commands)).stdout

  it('are required where they are missing', async () => {
    const text = "ubuntu-archive-keyring checks the signatures of Ubuntu's archive"
    expect(await missing()).toBe(text)
    await writeFile(path.join(folder, 'ubuntu.gpg'), '')
    expect(await missing()).toBe('')
  })

  it('are required on a Proxmox host only where one of its own sources has them', async () => {
    expect(await missing({ pveversion: '', 'apt-cache': '' })).toBe('')
    expect(
      await missing({ pveversion: '', 'apt-cache': 'echo "$2 | 2023.11.28.1-0.2 | somewhere"' }),
    ).toMatch(/^ubuntu-archive-keyring /)
  })

  it.each([
    ['12', '', 'install ubuntu-archive-keyring, after adding bookworm'],
    ['12', 'echo "$2 | 2023.11.28.1-0.2~bpo12+1 | somewhere"', 'install ubuntu-archive-keyring'],
    ['13', 'echo "$2 | 2023.11.28.1-0.2 | somewhere"', 'install ubuntu-archive-keyring'],
  ])('come from backports on Debian 12: on %s with %j', async (release, madison, done) => {
    // Everything that would change the machine only says so.
    const functions = [
      'added=',
      `debian_release() { echo ${release}; }`,
      'apt_update() { :; }',
      'add_backports() { added=", after adding $1"; }',
      'apt_install() { echo "install $*$added"; }',
    ]
    const { stdout } = await bash(`${functions.join('; ')}; install_ubuntu_keyring 'name reason'`, {
      'apt-cache': madison,
    })
    expect(stdout.split('\n')).toEqual(['setup: installing name: reason', done])
  })
})

describe('subordinate ids', () => {
  const has = async (content: string) => {
    await writeFile(path.join(folder, 'subuid'), content)
    return (await bash(`has_subids ${folder}/subuid alice 1000`)).exitCode === 0
  }

  it('takes a range of the name or of the number, if one entry is large enough', async () => {
    expect(await has('alice:100000:65536\n')).toBe(true)
    expect(await has('bob:100000:65536\n1000:165536:65536\n')).toBe(true)
    expect(await has('alice:100000:1000\nalice:101000:65535\n')).toBe(false)
    expect(await has('malice:100000:65536\n')).toBe(false)
    expect((await bash(`has_subids ${folder}/nowhere alice 1000`)).exitCode).toBe(1)
  })

  it('chooses a range above all others', async () => {
    await writeFile(path.join(folder, 'u'), 'a:100000:65536\nb:300000:65536\n')
    await writeFile(path.join(folder, 'g'), 'a:100000:65536\nb:400000:1000\n')
    expect((await bash('free_subid u g')).stdout).toBe('401000')
    expect((await bash('free_subid u missing')).stdout).toBe('365536')
    expect((await bash('free_subid missing')).stdout).toBe('100000')
  })
})

describe('user namespaces', () => {
  const obstacle = async (settings: Readonly<Record<string, string>>) => {
    for (const [name, value] of Object.entries(settings)) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
      await writeFile(path.join(folder, name), `${value}\n`)
    }
    return (await bash(`userns_obstacle ${folder}`)).stdout
  }

  it.each([
    ['user/max_user_namespaces', '0'],
    ['kernel/unprivileged_userns_clone', '0'],
    ['kernel/apparmor_restrict_unprivileged_userns', '1'],
  ])('names %s = %s and the command that lifts it', async (name, value) => {
    const found = await obstacle({ [name]: value })
    expect(found.split('\t')[1]).toMatch(new RegExp(`^sysctl -w ${name.replace('/', '\\.')}=`))
  })

  it('names nothing when every switch allows them', async () => {
    expect(
      await obstacle({
        'user/max_user_namespaces': '96365',
        'kernel/unprivileged_userns_clone': '1',
        'kernel/apparmor_restrict_unprivileged_userns': '0',
      }),
    ).toBe('')
  })

  it('stops with a reason and a fix when they do not work', async () => {
    const { exitCode, stderr } = await bash('check_userns', { unshare: 'exit 1' })
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^setup: user namespaces do not work here: .+\n {2}→ .+/)
  })
})

describe('node_modules', () => {
  it('is in line only with the lock it was installed from, and not after somebody else installed', async () => {
    const current = async () => (await bash(`CHECKOUT=${folder}; node_modules_current`)).exitCode === 0
    const modules = path.join(folder, 'node_modules')
    await mkdir(modules)
    await writeFile(path.join(folder, 'package-lock.json'), '{}')
    expect(await current()).toBe(false)
    await writeFile(path.join(modules, '.package-lock.json'), '{}')
    await bash(`CHECKOUT=${folder}; lock_digest >node_modules/.seeder-setup`)
    expect(await current()).toBe(true)
    await writeFile(path.join(folder, 'package-lock.json'), '{ }')
    expect(await current()).toBe(false)
    await writeFile(path.join(folder, 'package-lock.json'), '{}')
    await bash(`touch -d '1 minute' node_modules/.package-lock.json`)
    expect(await current()).toBe(false)
  })
})
