import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { published } from '../../support/schemas.ts'
import { checkout, type Ended, seeder } from '../../support/seeder.ts'

/** The program as a process: exit status, output streams, and error messages. */
const root = await mkdtemp(join(tmpdir(), 'seeder cli '))
const project = join(root, 'a project')

beforeAll(async () => {
  await mkdir(project)
  await cp(join(checkout, 'platform.yaml'), join(project, 'platform.yaml'))
  await cp(join(checkout, 'images'), join(project, 'images'), { recursive: true })
})
afterAll(() => rm(root, { recursive: true }))

const commands = ['lock', 'build', 'test', 'inspect', 'platform', 'pki']

describe('help', () => {
  it('lists every command', async () => {
    const { code, stdout, stderr } = await seeder(['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^ {2}${command} .*\\w`, 'm'))
  })

  it.each(commands)('shows the usage of %s', async (command) => {
    const { code, stdout } = await seeder([command, '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain(`Usage: seeder ${command}`)
  })

  it('gives the version', async () => {
    const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8'))
    expect(await seeder(['--version'])).toEqual({ code: 0, stdout: version, stderr: '' })
  })
})

describe('wrong usage ends with 2 and an error', () => {
  it.each([
    [['bild', 'haproxy'], "error: unknown command 'bild'"],
    [['build', 'haproxy', '--out', 'x', '--fast'], "error: unknown option '--fast'"],
    [['build', 'haproxy'], "error: required option '--out <dir>' not specified"],
    [['build', '--out', 'x'], 'no image is named'],
    [['build', 'haproxy', 'etcd', '--out', 'x'], 'error: too many arguments'],
    [['lock'], "error: missing required argument 'image'"],
    [['build', 'nginx', '--out', 'x'], 'seeder: There is no image "nginx" in'],
    [['build', 'haproxy', '--out', 'x', '--base', 'sid'], 'seeder: There is no base "sid" in'],
    [['lock', '../haproxy'], 'seeder: There is no image "../haproxy" in'],
    [['inspect', './nowhere'], 'seeder: ./nowhere is neither an image’s name nor a folder with a build'],
    [['-C', '/nowhere', 'inspect', 'haproxy'], 'seeder: --project /nowhere has no platform.yaml and images/'],
  ])('%j', async (argv, message) => {
    const { code, stdout, stderr } = await seeder(argv)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })

  it('without a command shows the help', async () => {
    const { code, stderr } = await seeder([])
    expect(code).toBe(2)
    expect(stderr).toContain('Usage: seeder')
  })

  it('a definition with an unknown key is shown with file, line and column', async () => {
    const file = join(project, 'images/haproxy/image.yaml')
    const text = await readFile(file, 'utf8')
    await writeFile(file, `${text}colour: red\n`)
    const { code, stderr } = await seeder(['-C', project, 'build', 'haproxy', '--out', 'x'], { cwd: root })
    await writeFile(file, text)
    expect(code).toBe(2)
    expect(stderr).toMatch(
      new RegExp(`^seeder: ${file}:${text.split('\n').length}:1: colour: unknown key; .+$`),
    )
  })

  it('a folder for the output that holds other files is refused before any work', async () => {
    const out = join(root, 'home')
    await mkdir(out)
    await writeFile(join(out, 'thesis.txt'), '')
    const { code, stderr } = await seeder(['build', 'haproxy', '--out', out])
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: `seeder: --out ${out} holds other files: thesis.txt\n  → give an empty folder, or one with an earlier build, which is replaced`,
    })
    expect(await readdir(out)).toEqual(['thesis.txt'])
  })
})

describe('a failure ends with 1', () => {
  it('a missing lock, with the command that makes it', async () => {
    await rm(join(project, 'images/haproxy/image.lock.json'))
    const out = join(root, 'out')
    const { code, stderr } = await seeder(['-C', project, 'build', 'haproxy', '--out', out])
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `seeder: haproxy has no lock on debian-trixie: ${project}/images/haproxy/image.lock.json cannot be read\n  → run: scripts/seeder lock haproxy`,
    })
    expect(await readdir(root)).not.toContain('out')
  })

  it('a stale lock', async () => {
    await cp(
      join(checkout, 'images/haproxy/image.lock.json'),
      join(project, 'images/haproxy/image.lock.json'),
    )
    const file = join(project, 'images/haproxy/image.yaml')
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace('  - keepalived\n', '  - keepalived\n  - curl\n'))
    const { code, stderr } = await seeder(['-C', project, 'build', 'haproxy', '--out', join(root, 'out')])
    await writeFile(file, text)
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^seeder: The lock of haproxy is stale: .+\n {2}→ run: scripts\/seeder lock haproxy$/,
    )
  })

  it('with --verbose prints the causes', async () => {
    await writeFile(join(project, 'images/haproxy/image.lock.json'), '{')
    const argv = ['-C', project, 'build', 'haproxy', '--out', join(root, 'out')]
    const short = await seeder(argv)
    const long = await seeder(['--verbose', ...argv])
    expect(short.stderr.split('\n')).toHaveLength(2)
    expect(long.stderr.startsWith(short.stderr)).toBe(true)
    expect(long.stderr).toContain('SyntaxError')
  })

  /** Runs a build in namespaces of its own, as a machine would be after `prepare`, a shell script. */
  async function buildWhere(prepare: string, ...unshare: string[]): Promise<Ended> {
    const argv = [
      '--user',
      '--map-root-user',
      '--map-auto',
      ...unshare,
      '--',
      'sh',
      '-euc',
      `${prepare}; exec "$@"`,
      '-',
    ]
    const build = [join(checkout, 'src/cli.ts'), 'build', 'haproxy', '--out', join(root, 'out')]
    const env = { XDG_CACHE_HOME: join(root, 'cache') }
    const ended = await execa('unshare', [...argv, process.execPath, ...build], { reject: false, env })
    expect(await readdir(root)).not.toContain('out')
    return { code: ended.exitCode, stdout: ended.stdout, stderr: ended.stderr }
  }

  it('no user namespaces', async () => {
    const { code, stderr } = await buildWhere('echo 0 > /proc/sys/user/max_user_namespaces')
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^seeder: Unprivileged user namespaces do not work here: unshare.+\n {2}→ run scripts\/setup\.sh --check; .*user\.max_user_namespaces/,
    )
  })

  it('no subordinate ids', async () => {
    const { code, stderr } = await buildWhere('mount --bind /dev/null /etc/subuid', '--mount')
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^seeder: Unprivileged user namespaces do not work here: .+\n {2}→ this user needs the package uidmap and a range in \/etc\/subuid/,
    )
  })

  it('too little space', async () => {
    const cache = join(root, 'cache')
    await mkdir(cache)
    // A build can map only the ids of the outer namespace.
    const ids = join(root, 'subids')
    await writeFile(ids, 'root:1000:60000\n')
    const mounts = [
      `--bind '${ids}' /etc/subuid`,
      `--bind '${ids}' /etc/subgid`,
      `-t tmpfs -o size=100m tmpfs '${cache}'`,
    ]
    const prepare = mounts.map((mount) => `mount ${mount}`).join('; ')
    const { code, stderr } = await buildWhere(prepare, '--mount')
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^seeder: A build needs \S+ GB in .+ free\n {2}→ free some space, or put the cache elsewhere with XDG_CACHE_HOME$/,
    )
  })

  it('no QEMU, when an image is to be booted', async () => {
    const image = join(root, 'haproxy-3.0-1.qcow2')
    await writeFile(image, '')
    // Every program of this machine except QEMU, which Proxmox VE also calls kvm.
    const bin = join(root, 'bin')
    await mkdir(bin)
    const programs = [
      '/usr/bin',
      '/usr/sbin',
      '-maxdepth',
      '1',
      '!',
      '-name',
      'qemu*',
      '!',
      '-name',
      'kvm',
      '!',
      '-type',
      'd',
    ]
    await execa('find', [...programs, '-exec', 'ln', '-sft', bin, '{}', '+'])
    const { stderr, code } = await seeder(['test', image], { env: { PATH: bin, XDG_CACHE_HOME: root } })
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^seeder: .*qemu.*\n {2}→ .+/i),
    })
  })
})

describe('inspect', () => {
  it('shows a definition, its requested packages and its lock', async () => {
    const { code, stdout } = await seeder(['inspect', 'haproxy'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^haproxy: HAProxy load balancer/)
    expect(stdout).toMatch(/^ {2}version {3}3\.\d/m)
    expect(stdout).toMatch(/^keepalived +\d/m)
  })

  it('prints JSON', async () => {
    const { stdout } = await seeder(['inspect', 'haproxy', '--json'])
    expect(await published('printed/inspect-image', JSON.parse(stdout))).toMatchObject({
      definition: { name: 'haproxy', base: { suite: 'trixie' } },
      lock: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/), image: 'haproxy' },
    })
  })

  it('prints JSON of a definition with artifacts, repositories and lines, locked or not', async () => {
    for (const image of ['etcd', 'kubernetes-node']) {
      const { stdout } = await seeder(['inspect', image, '--json'])
      await published('printed/inspect-image', JSON.parse(stdout))
    }
  })

  it('shows a definition with an unusable lock, with the problem', async () => {
    const { code, stdout } = await seeder(['-C', project, 'inspect', 'haproxy'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ {2}lock {6}.*is not a lock that this version of seeder understands/m)
  })
})
