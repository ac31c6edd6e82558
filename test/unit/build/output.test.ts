import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { publishOutput, readOutput, requireUsableOutput } from '../../../src/build/output.ts'
import { sha256File } from '../../../src/store/digest.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder output '))
let folder = ''
let out = ''
let count = 0
beforeEach(async () => {
  folder = join(root, String(count++))
  out = join(folder, 'out put')
  await mkdir(folder)
})
afterAll(() => rm(root, { recursive: true }))

const names = ['haproxy-3.0.11-1.qcow2', 'haproxy-3.0.11-1.manifest.json', 'SHA256SUMS', 'template.conf']

/** BuildRecord files with the given text in them, as a build has them in its work folder. */
async function finished(text: string): Promise<Map<string, string>> {
  const work = join(folder, `work ${text}`)
  await mkdir(work)
  const files = new Map(names.map((name) => [name, join(work, name)]))
  for (const file of files.values()) await writeFile(file, text)
  return files
}

describe('a folder for a build', () => {
  it('may be missing, empty, or hold an earlier build with files of tests and of a killed signing', async () => {
    await requireUsableOutput(out)
    await mkdir(out)
    await requireUsableOutput(out)
    const left = [
      'test-report.json',
      'SHA256SUMS.sig',
      'SHA256SUMS.sig.0f2e4a6c8b1d',
      'haproxy-3.0.11-1.report.html',
    ]
    for (const name of [...names, ...left]) await writeFile(join(out, name), '')
    await requireUsableOutput(out)
  })

  it('may not hold other files, which are named', async () => {
    await mkdir(out)
    for (const name of ['notes.txt', 'SHA256SUMS']) await writeFile(join(out, name), '')
    await expect(requireUsableOutput(out)).rejects.toMatchObject({
      name: 'UsageError',
      message: `--out ${out} holds other files: notes.txt`,
      fix: expect.stringContaining('empty folder'),
    })
  })

  it.each(['haproxy.qcow2', 'disk-1.qcow2.bak', '.SHA256SUMS', 'Haproxy-1-1.qcow2'])(
    'takes %s for foreign',
    async (name) => {
      await mkdir(out)
      await writeFile(join(out, name), '')
      await expect(requireUsableOutput(out)).rejects.toThrow(name)
    },
  )

  it('may not be a mount point', async () => {
    await expect(requireUsableOutput('/proc')).rejects.toThrow('--out /proc is a mount point')
  })

  it('may not be a file', async () => {
    await writeFile(out, '')
    await expect(requireUsableOutput(out)).rejects.toThrow(`--out ${out} is not a folder`)
  })
})

describe('publishing', () => {
  it('writes exactly the files, and creates parent folders', async () => {
    out = join(out, 'deeper')
    await publishOutput(out, await finished('1'))
    expect((await readdir(out)).sort()).toEqual([...names].sort())
    expect(await readdir(join(out, '..'))).toEqual(['deeper'])
  })

  it('replaces an earlier build as a whole', async () => {
    await mkdir(out)
    await writeFile(join(out, 'haproxy-2.9-1.qcow2'), 'old')
    await writeFile(join(out, 'test-report.json'), 'old')
    await publishOutput(out, await finished('2'))
    expect((await readdir(out)).sort()).toEqual([...names].sort())
    expect((await readdir(folder)).sort()).toEqual(['out put', 'work 2'])
  })

  it('that fails keeps the earlier build and leaves no partial one', async () => {
    await publishOutput(out, await finished('1'))
    const files = await finished('2')
    await rm(files.get('template.conf') ?? '')
    await expect(publishOutput(out, files)).rejects.toThrow('ENOENT')
    expect((await readdir(out)).sort()).toEqual([...names].sort())
    expect(await readFile(join(out, 'SHA256SUMS'), 'utf8')).toBe('1')
    expect((await readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('by several builds in parallel ends with a complete one', async () => {
    const builds = await Promise.all(['1', '2', '3', '4'].map(finished))
    // How they meet is chance: what went wrong once in a hundred rounds should be seen here.
    for (let round = 0; round < 100; round++) {
      await Promise.all(builds.map((files) => publishOutput(out, files)))
      const texts = await Promise.all(names.map((name) => readFile(join(out, name), 'utf8')))
      expect(new Set(texts).size).toBe(1)
      expect((await readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([])
    }
  })
})

describe('reading a build back', () => {
  const manifest = {
    schema: 1,
    image: 'haproxy',
    version: '3.0.11-1',
    description: 'd',
    roles: ['haproxy'],
    artifacts: {},
    containers: {},
    base: 'b',
    epoch: 1,
    raw: { sha256: 'a'.repeat(64), size: 1 },
    usr: { roothash: 'a'.repeat(64), size: 1 },
    qcow2: { file: 'haproxy-3.0.11-1.qcow2', sha256: 'a'.repeat(64), size: 1 },
    kernel: { version: '6', commandLine: '' },
    uki: { sha256: 'e'.repeat(64) },
    files: { total: 3, unowned: [] },
    ports: {},
    lock: { sha256: 'a'.repeat(64) },
    source: { commit: null, dirty: false },
    packages: {},
    tools: {},
    timings: {},
    made: [],
  }

  beforeEach(async () => {
    const files = await finished('x')
    await writeFile(files.get('haproxy-3.0.11-1.manifest.json') ?? '', JSON.stringify(manifest))
    const sums = await Promise.all(
      [...files]
        .filter(([name]) => name !== 'SHA256SUMS')
        .map(async ([name, file]) => `${await sha256File(file)}  ${name}\n`),
    )
    await writeFile(files.get('SHA256SUMS') ?? '', sums.join(''))
    await publishOutput(out, files)
  })

  it('returns its manifest, and no damaged file', async () => {
    expect(await readOutput(out)).toEqual({ manifest, damaged: [] })
  })

  it('names damaged and missing files', async () => {
    await writeFile(join(out, 'haproxy-3.0.11-1.qcow2'), 'y')
    await rm(join(out, 'template.conf'))
    expect((await readOutput(out)).damaged.sort()).toEqual(['haproxy-3.0.11-1.qcow2', 'template.conf'])
  })

  it('refuses a folder without SHA256SUMS, and an invalid manifest', async () => {
    await writeFile(join(out, 'haproxy-3.0.11-1.manifest.json'), '{}')
    await expect(readOutput(out)).rejects.toThrow(
      `the manifest that SHA256SUMS names, haproxy-3.0.11-1.manifest.json, cannot be used`,
    )
    await rm(join(out, 'SHA256SUMS'))
    await expect(readOutput(out)).rejects.toMatchObject({
      message: `${out} does not hold a build: it has no SHA256SUMS`,
      fix: expect.any(String),
    })
  })
})
