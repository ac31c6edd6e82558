import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type LayerKind, Layers, layerKey } from '../../../src/build/layers.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder layers '))
let folder = ''
let count = 0
beforeEach(() => {
  folder = join(root, String(count++))
})
afterAll(() => rm(root, { recursive: true }))

/** A build's own scratch folder. */
async function scratch(name: string): Promise<string> {
  const path = join(folder, 'work', name)
  await mkdir(path, { recursive: true })
  return path
}

const writing = (text: string) => (target: string) => writeFile(join(target, 'file'), text)

/** The folder of a layer that an earlier build made. */
async function kept(kind: LayerKind, key: string, text: string): Promise<string> {
  const layers = new Layers(folder, true)
  await layers.get(kind, key, await scratch(`kept-${key}`), writing(text))
  await layers.keep()
  return join(folder, `${kind}-${key}`)
}
const fails = () => Promise.reject(new Error('must not be made again'))

describe('the key of a layer', () => {
  it('is short enough for a folder’s name and changes with everything that goes in', () => {
    const key = layerKey({ script: 'make', packages: ['a', 'b'] })
    expect(key).toMatch(/^[0-9a-f]{32}$/)
    expect(layerKey({ script: 'make', packages: ['a', 'b'] })).toBe(key)
    expect(layerKey({ script: 'make ', packages: ['a', 'b'] })).not.toBe(key)
    expect(layerKey({ script: 'make', packages: ['b', 'a'] })).not.toBe(key)
    expect(layerKey({ script: 'make', packages: ['ab'] })).not.toBe(key)
  })
})

describe('a layer', () => {
  it('is made once and found afterwards, by this build and by later ones', async () => {
    const first = new Layers(folder, true)
    const made = await first.get('tools', 'k1', await scratch('a'), writing('1'))
    expect(await readFile(join(made, 'file'), 'utf8')).toBe('1')
    expect(await first.get('tools', 'k1', await scratch('a'), fails)).toBe(made)
    expect(first.made).toEqual(['tools'])
    await first.keep()

    const second = new Layers(folder, true)
    const found = await second.get('tools', 'k1', await scratch('b'), fails)
    expect(await readFile(join(found, 'file'), 'utf8')).toBe('1')
    await second.verify()
    expect(second.made).toEqual([])
    const other = await second.get('tools', 'k2', await scratch('b'), writing('2'))
    expect(other).not.toBe(found)
    expect(second.made).toEqual(['tools'])
  })

  it('says when it was last used', async () => {
    const path = await kept('tools', 'k', '1')
    await utimes(path, 1000, 1000)
    await new Layers(folder, true).get('tools', 'k', await scratch('b'), fails)
    expect(Date.now() - (await stat(path)).mtimeMs).toBeLessThan(60_000)
  })

  it('is not there when making it fails', async () => {
    const layers = new Layers(folder, true)
    const broken = async (target: string) => {
      await writing('half')(target)
      throw new Error('no')
    }
    await expect(layers.get('tools', 'k', await scratch('a'), broken)).rejects.toThrow('no')
    await layers.keep()
    expect(existsSync(join(folder, 'tools-k'))).toBe(false)
    expect(layers.made).toEqual([])
  })

  it('that two builds make at once is each one’s own, and the first one’s for later builds', async () => {
    const gate = Promise.withResolvers<void>()
    const builds = ['a', 'b'].map(async (name) => {
      const layers = new Layers(folder, true)
      const made = await layers.get('tools', 'k', await scratch(name), async (target) => {
        await writing(name)(target)
        await gate.promise
      })
      return { layers, text: await readFile(join(made, 'file'), 'utf8') }
    })
    gate.resolve()
    const [a, b] = await Promise.all(builds)
    expect([a?.text, b?.text]).toEqual(['a', 'b'])
    await a?.layers.keep()
    await b?.layers.keep()
    expect(await readdir(folder)).toEqual(['tools-k', 'work'])
    expect(await readFile(join(folder, 'tools-k/content/file'), 'utf8')).toBe('a')
  })

  it('of an earlier Seeder, without a digest, is made again', async () => {
    await mkdir(join(folder, 'tools-k'), { recursive: true })
    await writeFile(join(folder, 'tools-k/file'), 'old')
    const final = await kept('tools', 'k', 'new')
    expect(await readdir(final)).toEqual(['content', 'sha256'])
  })
})

describe('a layer that somebody altered', () => {
  const content = (target: string) =>
    execa('sh', ['-euc', 'echo 1 > file; mkdir folder; echo 2 > folder/other; ln -s file link'], {
      cwd: target,
    })

  it.each([
    ['a byte of a file', 'printf 3 > file'],
    ['one more file', 'touch more'],
    ['a file less', 'rm folder/other'],
    ['another name', 'mv file name'],
    ['another mode', 'chmod 755 file'],
    ['another link', 'ln -sfn folder/other link'],
    ['a link in the place of a file', 'mv file folder/file; ln -s folder/file file'],
    ['another folder', 'chmod 700 folder'],
    ['its digest', 'echo 0 > ../sha256'],
    ['no digest any more, and another file', 'rm ../sha256; mkdir ../sha256'],
  ])('makes the build fail: %s', async (_what, change) => {
    const first = new Layers(folder, true)
    await first.get('usr', 'k', await scratch('a'), async (target) => void (await content(target)))
    await first.keep()
    const final = join(folder, 'usr-k')
    await execa('sh', ['-euc', change], { cwd: join(final, 'content') })
    const second = new Layers(folder, true)
    expect(await second.get('usr', 'k', await scratch('b'), fails)).toBe(join(final, 'content'))
    await expect(second.verify()).rejects.toMatchObject({
      message: expect.stringContaining(`The build used the layer ${final} of the cache; it`),
      fix: expect.stringContaining(`remove ${final}`),
    })
  })

  it('of the packages is compared only when it is unpacked', async () => {
    const final = await kept('rootfs', 'k', '1')
    await writeFile(join(final, 'content/file'), '2')
    const layers = new Layers(folder, true)
    const found = await layers.get('rootfs', 'k', await scratch('b'), fails)
    await layers.verify()
    layers.check(found)
    await expect(layers.verify()).rejects.toThrow('rootfs-k')
  })
})

describe('--no-cache', () => {
  it('makes a cached layer again, once, and keeps the old one, which other builds may be reading', async () => {
    const old = join(await kept('tools', 'k', 'old'), 'content')
    const layers = new Layers(folder, false)
    const again = await layers.get('tools', 'k', await scratch('b'), writing('new'))
    expect(await readFile(join(again, 'file'), 'utf8')).toBe('new')
    expect(await layers.get('tools', 'k', await scratch('b'), fails)).toBe(again)
    await layers.keep()
    expect(await readFile(join(old, 'file'), 'utf8')).toBe('old')
    expect(layers.made).toEqual(['tools'])
  })

  it('keeps new layers for later builds', async () => {
    const layers = new Layers(folder, false)
    await layers.get('tools', 'k', await scratch('a'), writing('1'))
    await layers.keep()
    const found = await new Layers(folder, true).get('tools', 'k', await scratch('b'), fails)
    expect(await readFile(join(found, 'file'), 'utf8')).toBe('1')
  })
})

describe('pruning', () => {
  it('removes layers that no build has used for long', async () => {
    const [old, recent] = [await kept('tools', 'old', '1'), await kept('tools', 'recent', '2')]
    const monthAgo = new Date(Date.now() - 30 * 24 * 3600 * 1000)
    await utimes(old, monthAgo, monthAgo)
    await new Layers(folder, true).prune(14)
    expect([existsSync(old), existsSync(recent)]).toEqual([false, true])
  })
})
