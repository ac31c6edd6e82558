import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { removeTrees, runInside } from '../../../src/build/namespace.ts'

// A maintainer script is untrusted. Each test tries one way out of the enclosure.

const root = await mkdtemp(join(tmpdir(), 'seeder-escape-'))
const mark = join(root, 'marker-of-the-host')
const tools = join(root, 'tools')
const here = join(root, 'here')
const KEY = `seeder-escape-${process.pid}`
const hostile = join(import.meta.dirname, '../../support/build/hostile-package.pl')
const enclosure = {
  tools,
  binds: [
    { from: '/usr', to: '/usr' },
    { from: join(root, 'store'), to: '/store' },
    { from: join(root, 'programs'), to: '/programs' },
    { from: here, to: '/here', writable: true },
  ],
}

beforeAll(async () => {
  await mkdir(join(tools, 'own'), { recursive: true })
  for (const link of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${link}`, join(tools, link))
  for (const folder of ['usr', 'store', 'programs', 'here'].map((name) => join(root, name)))
    await mkdir(folder)
  await writeFile(join(root, 'programs/hostile.pl'), await readFile(hostile))
  await writeFile(mark, 'a secret', { mode: 0o600 })
  await chmod(root, 0o755)
})
afterAll(() => removeTrees([root]))

/**
 * Runs a step in a process that has a key in its environment, another in its session keyring, and a terminal, as a job or
 * an operator's shell has. Returns what the step prints.
 */
async function attempt(script: string): Promise<string> {
  await rm(join(here, 'secret'), { force: true })
  // Each door finds what it would harm.
  await rm(join(root, 'store/package.deb'), { force: true })
  await writeFile(join(root, 'store/package.deb'), 'a package')
  await writeFile(join(here, 'secret'), 'a key', { mode: 0o600 })
  const namespace = join(import.meta.dirname, '../../../src/build/namespace.ts')
  const program = `import { writeFileSync } from 'node:fs'
    import { runInside } from ${JSON.stringify(namespace)}
    const end = (text) => writeFileSync(${JSON.stringify(join(root, 'answer'))}, text)
    await runInside(${JSON.stringify(enclosure)}, 'Trying', ${JSON.stringify(script)}).then(end, (error) => end(String(error)))`
  await writeFile(join(root, 'program.mjs'), program)
  // add_key, in a new session keyring.
  const keyring =
    'syscall(250, 1, 0); my ($k, $n, $v) = ("user", $ARGV[0], "secret"); syscall(248, $k, $n, $v, 6, -3); shift; exec @ARGV'
  const command = ['perl', '-e', keyring, KEY, process.execPath, join(root, 'program.mjs')]
  const quoted = command.map((word) => `'${word}'`).join(' ')
  await execa('script', ['-qec', quoted, '/dev/null'], { env: { SEEDER_SIGNING_KEY: KEY }, stdin: 'ignore' })
  return readFile(join(root, 'answer'), 'utf8')
}

describe('a hostile package', () => {
  it.each([
    'chroot',
    'roots',
    'environments',
    'covered-proc',
    'covered-mounts',
    'files',
    'other-processes',
    'kernel',
    'kernel-bare',
    'cgroups',
    'namespaces',
    'new-namespaces',
    'devices',
    'terminal',
    'keyrings',
    'store',
    'tools',
    'secret',
    'privileges',
    'network',
  ])('cannot escape: %s', async (door) => {
    expect(await attempt(`perl /programs/hostile.pl ${door} '${mark}' ${KEY}`)).toBe('')
    expect(await readFile(join(root, 'store/package.deb'), 'utf8')).toBe('a package')
  })
})

describe('the files and processes of a step', () => {
  it('belong to a user without files outside, except the plain files directly in a writable folder', async () => {
    await runInside(
      enclosure,
      'Trying',
      'mkdir -p /here/tree/deep; echo x > /here/tree/deep/file; echo y > /here/file',
    )
    expect((await stat(join(here, 'tree/deep/file'))).uid).not.toBe(process.getuid?.())
    expect((await stat(join(here, 'file'))).uid).toBe(process.getuid?.())
    expect((await stat(here)).uid).toBe(process.getuid?.())
  })

  it.each([
    ['a link to a file of the host', `ln -s '${mark}' /here/disk.qcow2`],
    ['a pipe', 'mkfifo /here/disk.qcow2'],
    [
      'a socket',
      `perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "/here/disk.qcow2", Listen => 1) or die'`,
    ],
  ])('are refused when there is %s', async (_kind, script) => {
    const failed = runInside(enclosure, 'Trying', `rm -f /here/disk.qcow2; ${script}`)
    await expect(failed).rejects.toThrow(
      'Trying failed (exit 1): the step left /here/disk.qcow2, which is neither a file nor a folder',
    )
    await rm(join(here, 'disk.qcow2'))
  })

  it('have no setuid bits', async () => {
    await runInside(enclosure, 'Trying', 'cp /usr/bin/id /here/id; chmod 6755 /here/id')
    expect((await stat(join(here, 'id'))).mode & 0o7777).toBe(0o755)
  })

  it('are gone afterwards: also a process in its own session is killed before its files are read', async () => {
    const daemon = `perl -e 'use POSIX; exit if fork; POSIX::setsid(); exit if fork; open STDOUT, ">/dev/null"; open STDERR, ">/dev/null"; while (1) { open my $file, ">>", "/here/beat"; print $file "x"; close $file; select undef, undef, undef, 0.01 }'`
    await runInside(enclosure, 'Trying', `${daemon}; until [ -s /here/beat ]; do :; done`)
    const { size } = await stat(join(here, 'beat'))
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect((await stat(join(here, 'beat'))).size).toBe(size)
  })
})
