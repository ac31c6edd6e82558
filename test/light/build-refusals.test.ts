import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadImage } from '../../src/image/definition.ts'
import { formatLock, type Lock, readLock } from '../../src/image/lock.ts'
import { Store } from '../../src/store/store.ts'
import { serveFiles } from '../support/archive/server.ts'
import { copyCache, copyProject, removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { type Ended, seeder } from '../support/seeder.ts'

/** Builds that must fail, each on a copy of the project with one mistake, and leave nothing behind. */
const root = await testFolder('refusals')
const out = join(root, 'out')
let project = ''
let cache = ''
let original: Lock

beforeAll(async () => {
  await warmUp(join(root, 'good'))
  project = await copyProject(join(root, 'project'))
  cache = await copyCache(join(root, 'cache'), true)
  original = await readLock(await loadImage(project, 'haproxy'))
})
afterAll(() => removeFolder(root))
afterEach(async () => {
  const left = await readdir(root)
  await rm(out, { recursive: true, force: true })
  expect(left).not.toContain('out')
  expect(await readdir(join(cache, 'seeder', 'work'))).toEqual([])
})

async function build(env: Record<string, string> = {}): Promise<Ended> {
  return seeder(['-C', project, 'build', 'haproxy', '--out', out], { env: { XDG_CACHE_HOME: cache, ...env } })
}

/** The line with the build's error, which the next line has to fix. */
async function refusal(ended: Ended): Promise<string> {
  expect(ended).toMatchObject({ code: 1, stdout: '' })
  return /^seeder: (.+)\n {2}→ .+$/m.exec(ended.stderr)?.[1] ?? `no error in: ${ended.stderr}`
}

/** Runs a build on a changed lock. */
async function buildWith(lock: Lock, env?: Record<string, string>): Promise<Ended> {
  const file = join(project, 'images/haproxy/image.lock.json')
  await writeFile(file, formatLock(lock))
  try {
    return await build(env)
  } finally {
    await writeFile(file, formatLock(original))
  }
}

function lockedPackage(name: string) {
  const found = original.packages.find((locked) => locked.name === name)
  if (!found) throw new Error(`${name} is not locked`)
  return found
}

describe('nothing but the lock', () => {
  it('a dependency that is not locked is not found, and is named', async () => {
    const packages = original.packages.filter(({ name }) => name !== 'liblua5.4-0')
    expect(packages).toHaveLength(original.packages.length - 1)
    expect(await refusal(await buildWith({ ...original, packages }))).toMatch(
      /^Installing the packages failed.*liblua5\.4-0/,
    )
  })

  it('a file that is not the locked version stops it', async () => {
    const haproxy = lockedPackage('haproxy')
    const packages = original.packages.map((locked) =>
      locked === haproxy ? { ...locked, version: '9.9-1' } : locked,
    )
    expect(await refusal(await buildWith({ ...original, packages }))).toBe(
      `The file locked as haproxy 9.9-1 is haproxy ${haproxy.version}`,
    )
  })

  it('a changed package in the store is fetched again, and refused when the mirror’s file was changed too', async () => {
    const haproxy = lockedPackage('haproxy')
    const folder = join(root, 'mirror')
    const served = join(folder, haproxy.path)
    await mkdir(join(served, '..'), { recursive: true })
    await writeFile(served, Buffer.alloc(haproxy.size, 'x'))
    const server = await serveFiles(folder)
    const store = new Store(join(cache, 'seeder', 'store'), root)
    const kept = await readFile(store.path(haproxy.sha256))
    // Removed first: the file is a hard link to the one in the user's own store.
    await store.remove(haproxy.sha256)
    await writeFile(store.path(haproxy.sha256), Buffer.alloc(haproxy.size, 'y'))
    try {
      const env = { SEEDER_MIRROR_DEBIAN: server.url, SEEDER_MIRROR_DEBIAN_SECURITY: server.url }
      const ended = await build(env)
      expect(ended.stderr).toContain('haproxy: the stored file is damaged and will be downloaded again')
      expect(await refusal(ended)).toMatch(
        new RegExp(
          `^Package haproxy \\S+ cannot be downloaded as locked: .*: its sha256 is \\w+, the lock says ${haproxy.sha256}$`,
        ),
      )
      expect(await store.has(haproxy.sha256, haproxy.size)).toBe(false)
    } finally {
      await server.close()
      await writeFile(store.path(haproxy.sha256), kept)
    }
  })
})

describe('a secret in an image stops the build and is named', () => {
  /** Adds a file to the image's tree for one build. */
  async function buildAdding(path: string, text: string): Promise<string> {
    const file = join(project, 'images/haproxy/tree', path)
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, text)
    try {
      return await refusal(await build())
    } finally {
      await rm(file)
    }
  }

  // The definition is checked before the build, the files of packages in the image.
  it.each(['usr/share/haproxy/site.pem', 'etc/haproxy/site.pem'])('a private key: %s', async (path) => {
    const { stdout: key } = await execa('openssl', ['genpkey', '-algorithm', 'ed25519'])
    expect(await buildAdding(path, key)).toBe(
      `${join(project, 'images/haproxy/tree', path)} has a private key in it`,
    )
  })

  it('an ssh host key and an authorized key', async () => {
    expect(await buildAdding('etc/ssh/ssh_host_ed25519_key.pub', 'ssh-ed25519 AAAA\n')).toBe(
      'The image must not be made: the root file system has ssh host key in /etc/ssh/ssh_host_ed25519_key.pub',
    )
    expect(await buildAdding('root/.ssh/authorized_keys', 'ssh-ed25519 AAAA\n')).toBe(
      'The image must not be made: the root file system has authorized key in /root/.ssh/authorized_keys',
    )
  })

  it('a password hash', async () => {
    expect(await buildAdding('etc/shadow', 'root:$y$j9T$abcdef$ghijkl:20000:0:99999:7:::\n')).toBe(
      'The image must not be made: the root file system has password of root in /etc/shadow',
    )
  })
})

describe('an initrd that could not start a machine', () => {
  const folder = 'images/common/initrd'

  it.each([
    ['the program no-such-program', 'init.sh', /^exec switch_root/m, 'no-such-program\n$&'],
    ['the module dm_verity of kernel \\S+', 'module-setup.sh', /dm_mod dm_verity/, 'dm_mod'],
    ['the program dmsetup', 'module-setup.sh', /modprobe dmsetup/, 'modprobe'],
    [
      'a library of /bin/broken',
      'module-setup.sh',
      /^ {2}inst_script/m,
      `  broken=$initdir/usr/bin/broken
  sed 's/libdevmapper[.]so/libnosuchlib.so/' "$tree/usr/sbin/dmsetup" >"$broken"
  chmod 755 "$broken"
$&`,
    ],
  ])('is refused without %s', async (missing, name, from, to) => {
    const file = join(project, folder, name)
    const text = await readFile(file, 'utf8')
    expect(text).toMatch(from)
    await writeFile(file, text.replace(from, to))
    const found = await refusal(await build()).finally(() => writeFile(file, text))
    expect(found).toMatch(new RegExp(`^Packing the initrd failed .*the initrd does not have ${missing}[;,]`))
  })
})
