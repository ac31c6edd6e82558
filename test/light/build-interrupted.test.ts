import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/build/manifest.ts'
import { copyCache, readManifest, removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { checkout, seeder } from '../support/seeder.ts'

/** Builds that are killed or stopped before they end, and the builds after them. */
const root = await testFolder('interrupted')
const cache = join(root, 'cache')
const work = join(cache, 'seeder', 'work')
const out = join(root, 'out')
let reference: Manifest

beforeAll(async () => {
  reference = await warmUp(join(root, 'good'))
  await copyCache(cache)
})
afterAll(() => removeFolder(root))
beforeEach(() => rm(out, { recursive: true, force: true }))

/** Starts a build as a process in a process group of its own, as in a terminal. */
function start(argv: readonly string[] = []): {
  build: ChildProcess
  phase: (before: string) => Promise<void>
} {
  const build = spawn(
    process.execPath,
    [join(checkout, 'src/cli.ts'), 'build', 'haproxy', '--out', out, ...argv],
    {
      env: { ...process.env, XDG_CACHE_HOME: cache },
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    },
  )
  const lines = createInterface({ input: build.stderr ?? process.stdin })
  /** Waits for the end of a phase, when the next one begins. */
  const phase = async (before: string) => {
    for await (const line of lines) if (line.startsWith(`${before} `)) return
    throw new Error(`the build ended before ${before} did`)
  }
  return { build, phase }
}

/** The command lines of all processes that name this test's folder. */
async function processes(): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  const lines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.includes(root))
}

/** The mounts of this machine below this test's folder. */
async function mounts(): Promise<string[]> {
  const table = (await readFile('/proc/self/mountinfo', 'utf8')).replaceAll('\\040', ' ')
  return table.split('\n').filter((line) => line.includes(root))
}

describe('a build that is killed', () => {
  // The next phases unpack the tools, install the packages, and pack the disk, each with another program.
  it.each(['packages', 'tools', 'root'])(
    'after the phase %s leaves no process and no mount',
    async (before) => {
      const { build, phase } = start()
      const ended = once(build, 'exit')
      await phase(before)
      await new Promise((resolve) => setTimeout(resolve, 500))
      expect((await processes()).length).toBeGreaterThan(1)
      build.kill('SIGKILL')
      await ended
      await expect.poll(processes, { timeout: 5000 }).toEqual([])
      expect(await mounts()).toEqual([])
      expect(await readdir(root)).not.toContain('out')
      expect(await readdir(work)).toHaveLength(1)
    },
  )

  it('does not disturb the next build, which removes what is left', async () => {
    const { code, stderr } = await seeder(['build', 'haproxy', '--out', out], {
      env: { XDG_CACHE_HOME: cache },
    })
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.not.stringContaining('seeder:') })
    expect(await readdir(work)).toEqual([])
    expect((await readManifest(out)).raw).toEqual(reference.raw)
  })
})

describe('a build that is stopped', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('by %s ends with 130 and leaves nothing', async (signal) => {
    const { build, phase } = start(['--no-cache'])
    const ended = once(build, 'exit')
    await phase('tools')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    // Ctrl-C in a terminal reaches the whole process group.
    if (signal === 'SIGINT') process.kill(-(build.pid ?? 0), signal)
    else build.kill(signal)
    expect(await ended).toEqual([130, null])
    expect(await readdir(work)).toEqual([])
    await expect.poll(processes, { timeout: 5000 }).toEqual([])
    expect(await readdir(root)).not.toContain('out')
  })
})

it('a full disk of the output is reported as such', async () => {
  const small = join(root, 'small disk')
  await mkdir(small)
  const nested = await copyCache(join(root, 'nested cache'), true)
  // The build can only use ids of the outer namespace.
  const ids = join(root, 'ids')
  const prepare = [
    `echo root:1:65000 > '${ids}'`,
    `for file in /etc/subuid /etc/subgid; do mount --bind '${ids}' $file; done`,
    `mount -t tmpfs -o size=20m tmpfs '${small}'`,
    `"$@" || status=$?`,
    `ls -A '${small}'`,
    'exit $status',
  ].join('\n')
  const build = [join(checkout, 'src/cli.ts'), 'build', 'haproxy', '--out', join(small, 'out')]
  const unshare = ['--user', '--map-root-user', '--map-auto', '--mount', '--', 'sh', '-uc', prepare, '-']
  const { exitCode, stdout, stderr } = await execa('unshare', [...unshare, process.execPath, ...build], {
    reject: false,
    env: { XDG_CACHE_HOME: nested },
  })
  expect(stderr).toMatch(/\nseeder: The build failed: no space left on the disk\n {2}→ free some space/)
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
})
