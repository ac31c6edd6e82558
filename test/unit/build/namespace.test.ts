import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Enclosure, enclosureScript, shellQuote } from '../../../src/build/enclosure.ts'
import { runInside, unshareArgv } from '../../../src/build/namespace.ts'
import { causeChain } from '../../../src/report/error.ts'

const root = await mkdtemp(join(tmpdir(), "seeder it's a path "))
afterAll(() => rm(root, { recursive: true }))

describe('a word of a shell command line', () => {
  it.each(['plain', 'a b', "it's", '$HOME `id` "x"', 'a\\b', 'line\nbreak', '', '*', '~', "'"])(
    'reaches the program as it is: %j',
    async (word) => {
      const { stdout } = await execa('sh', ['-c', `printf '%s|' ${shellQuote(word)}`], {
        stripFinalNewline: false,
      })
      expect(stdout).toBe(`${word}|`)
    },
  )

  it('has no quotes where it needs none', () => {
    expect(shellQuote('/usr/bin/x-1.0+b:2@y')).toBe('/usr/bin/x-1.0+b:2@y')
  })
})

describe('the command line of the namespaces', () => {
  const argv = unshareArgv(['sh', '-c', 'a b'])

  it('has no network, own processes and mounts, and ends with its parent', () => {
    expect(argv.slice(0, 3)).toEqual(['setpriv', '--pdeathsig', 'KILL'])
    expect(argv).toEqual(
      expect.arrayContaining([
        'unshare',
        '--user',
        '--map-root-user',
        '--map-auto',
        '--mount',
        '--pid',
        '--net',
      ]),
    )
    expect(argv).toContain('--kill-child')
  })

  it('leaves the command as it is, after --', () => {
    expect(argv.slice(-4)).toEqual(['--', 'sh', '-c', 'a b'])
  })
})

describe('the enclosure', () => {
  it('is a script that binds every path quoted, read-only by default, and leaves the host’s root', () => {
    const binds = [
      { from: "/it's", to: '/here' },
      { from: '/b', to: '/there', writable: true },
    ]
    const lines = enclosureScript({ tools: '/a b', binds }).split('\n')
    expect(lines).toContain(`mount --bind '/it'\\''s' /sys/here`)
    expect(lines).toContain('mount -o remount,bind,ro /sys/here')
    expect(lines).toContain('mount --bind /b /sys/there')
    expect(lines).not.toContain('mount -o remount,bind,ro /sys/there')
    expect(lines).toContain("for entry in '/a b'/*; do")
    expect(lines).toContain('cd /sys; mkdir tmp/host; pivot_root . tmp/host; cd /')
    expect(lines.at(-1)).toBe('exit $status;\' -- /there -- "$@"')
  })
})

/**
 * A real run needs a tree with a shell in it: the machine's own /usr, bound into a folder whose path has blanks and
 * a quote.
 */
describe('a step inside', () => {
  const tools = join(root, 'tools tree')
  const work = join(root, 'work folder')
  const enclosure: Enclosure = {
    tools,
    binds: [
      { from: '/usr', to: '/usr' },
      { from: work, to: '/here', writable: true },
    ],
    env: { SOURCE_DATE_EPOCH: '42' },
  }

  beforeAll(async () => {
    await mkdir(join(tools, 'usr'), { recursive: true })
    for (const link of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${link}`, join(tools, link))
    await mkdir(work)
  })

  it('sees its binds, is root there, and what it writes belongs to the caller', async () => {
    await writeFile(join(work, 'in'), 'hello')
    const output = await runInside(enclosure, 'Trying', 'id -u; cat /here/in > /here/out; ls -A /tmp /run')
    expect(output).toBe('0\n/run:\n\n/tmp:')
    expect(await readFile(join(work, 'out'), 'utf8')).toBe('hello')
  })

  it('may have no writable folder', async () => {
    expect(
      await runInside({ tools, binds: [{ from: '/usr', to: '/usr' }] }, 'Trying', 'echo "$0" "$#"'),
    ).toBe('sh 0')
  })

  it('has no network, not even loopback', async () => {
    const connect = `bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' 2>&1 || true; cat /proc/net/route /proc/net/dev`
    const output = await runInside(enclosure, 'Trying', connect)
    expect(output).toContain('Network is unreachable')
    expect(output.match(/^\s*\w+:\s+\d/gm)).toEqual([expect.stringMatching(/^\s*lo:/)])
  })

  it('has its own environment', async () => {
    process.env.SEEDER_STRAY = 'x'
    const output = await runInside(enclosure, 'Trying', 'env; umask')
    delete process.env.SEEDER_STRAY
    expect(
      output
        .split('\n')
        .filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line))
        .sort(),
    ).toEqual([
      '0022',
      'HOME=/root',
      'LC_ALL=C.UTF-8',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'SOURCE_DATE_EPOCH=42',
      'TZ=UTC',
    ])
  })

  it('has the same umask for any caller', async () => {
    const before = process.umask(0o077)
    try {
      expect(await runInside(enclosure, 'Trying', 'umask')).toBe('0022')
    } finally {
      process.umask(before)
    }
  })

  it('sees the processes of its own namespace only', async () => {
    expect(await runInside(enclosure, 'Trying', 'echo $$; ls -d /proc/[0-9]* | wc -l')).toMatch(/^1\n[1-4]$/)
  })

  it('that fails is reported by its name and last line, with the whole output as the cause', async () => {
    const error: unknown = await runInside(enclosure, 'Trying', 'echo one; echo two >&2; exit 3').catch(
      (caught: unknown) => caught,
    )
    expect(error).toMatchObject({ name: 'SeederError', message: 'Trying failed (exit 3): two' })
    expect(causeChain(error).join()).toContain('one\ntwo')
  })

  it.each([
    [
      'dpkg: error processing package foo (--configure):',
      'noise\ndpkg: error processing package foo (--configure):\nE: later',
    ],
    ['Unable to locate package foo', 'W: noise\nE: Unable to locate package foo\nlast'],
  ])('is reported by its most useful line: %s', async (line, output) => {
    await expect(
      runInside(enclosure, 'Trying', `printf %s ${shellQuote(output)} >&2; exit 1`),
    ).rejects.toThrow(`Trying failed (exit 1): ${line}`)
  })

  it('that fills the disk has an error of its own', async () => {
    const fill = 'mount -t tmpfs -o size=64k tmpfs /tmp; head -c 1M /dev/zero > /tmp/file'
    await expect(runInside(enclosure, 'Trying', fill)).rejects.toMatchObject({
      message: 'Trying failed: no space left on the disk',
      fix: expect.stringContaining('XDG_CACHE_HOME'),
    })
  })

  it('ends with all its processes when its parent is killed', async () => {
    const module = join(import.meta.dirname, '../../../src/build/namespace.ts')
    const mark = `seeder-${process.pid}`
    const step = `(exec -a ${mark} sleep 300) & (exec -a ${mark} sleep 300)`
    const script = `import { runInside } from ${JSON.stringify(module)}
      await runInside(${JSON.stringify(enclosure)}, 'Trying', ${JSON.stringify(`bash -c '${step}'`)})`
    const starter = execa('node', ['--input-type=module', '-e', script], { reject: false })
    const running = async () => {
      const lines = (await readdir('/proc')).map((id) =>
        readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => ''),
      )
      return (await Promise.all(lines)).filter((line) => line.startsWith(`${mark}\0`)).length
    }
    await expect.poll(running, { timeout: 15_000 }).toBe(2)
    starter.kill('SIGKILL')
    await starter
    await expect.poll(running, { timeout: 5000 }).toBe(0)
  })
})
