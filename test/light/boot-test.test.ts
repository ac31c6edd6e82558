import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/build/manifest.ts'
import { removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { published } from '../support/schemas.ts'
import { checkout, seeder } from '../support/seeder.ts'

/** Boot tests that fail, and one that is killed; release.test.ts has one that passes. */
const root = await testFolder('boot test')
const out = join(root, 'image')
let manifest: Manifest

beforeAll(async () => {
  manifest = await warmUp(out)
})
afterAll(() => removeFolder(root))

describe('an image with a changed block in /usr', () => {
  it('fails its test: the machine refuses to start from it', async () => {
    const folder = join(root, 'tampered')
    await mkdir(folder)
    const names = (await readdir(out)).filter((name) => name !== 'test-report.json')
    for (const name of names) await copyFile(join(out, name), join(folder, name))
    const disk = join(folder, manifest.qcow2.file)
    // The second partition is /usr and starts at 65 MiB, with the superblock of its file system in the first block.
    await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x55 65M 4k', disk])
    const { code, stdout } = await seeder(['test', folder])
    expect(code).toBe(1)
    const text = await readFile(join(folder, 'test-report.json'), 'utf8')
    const report = await published('test-report', JSON.parse(text))
    expect(report.passed).toBe(false)
    expect(report.checks.find((check: { name: string }) => check.name === 'boots')).toMatchObject({
      status: 'failed',
      detail: expect.stringContaining('panic'),
    })
    expect(stdout).toContain('failed')
    const logs = await readdir(join(folder, 'test-report.logs'))
    const console = await readFile(join(folder, 'test-report.logs', logs[0] ?? ''), 'utf8')
    expect(console).toContain('seeder-initrd: /usr cannot be mounted')
  })
})

describe('a boot test that is killed', () => {
  it('leaves no machine running', async () => {
    const cache = join(root, 'killed cache')
    const argv = [
      join(checkout, 'src/cli.ts'),
      'test',
      join(out, manifest.qcow2.file),
      '--report',
      join(root, 'no.json'),
    ]
    const running = execa(process.execPath, argv, { env: { XDG_CACHE_HOME: cache }, reject: false })
    await until(async () => (await machinesBelow(cache)) > 0)
    process.kill(running.pid ?? 0, 'SIGKILL')
    await running
    await until(async () => (await machinesBelow(cache)) === 0)
    expect(await machinesBelow(cache)).toBe(0)
  })
})

/** The number of QEMU processes with a path below `folder` on their command line. */
async function machinesBelow(folder: string): Promise<number> {
  const { stdout } = await execa('pgrep', ['--full', '--count', `qemu-system.*${folder}`], { reject: false })
  return Number(stdout)
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('the condition was not met within a minute')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
