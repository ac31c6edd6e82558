import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { Layers, layerKey } from '../../src/build/layers.ts'

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

    const second = new Layers(folder, true)
    expect(await second.get('tools', 'k1', await scratch('b'), fails)).toBe(made)
    expect(second.made).toEqual([])
    const other = await second.get('tools', 'k2', await scratch('b'), writing('2'))
    expect(other).not.toBe(made)
    expect(second.made).toEqual(['tools'])
  })

  it('says when it was last used', async () => {
    const path = await new Layers(folder, true).get('tools', 'k', await scratch('a'), writing('1'))
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
    expect(existsSync(join(folder, 'tools-k'))).toBe(false)
    expect(layers.made).toEqual([])
  })

  it('that two builds make at once is the first one’s for both', async () => {
    const gate = Promise.withResolvers<void>()
    const builds = ['a', 'b'].map(async (name) =>
      new Layers(folder, true).get('tools', 'k', await scratch(name), async (target) => {
        await writing(name)(target)
        await gate.promise
      }),
    )
    gate.resolve()
    const [a, b] = await Promise.all(builds)
    expect(a).toBe(b)
    expect((await readdir(folder)).filter((name) => name.startsWith('tools-'))).toEqual(['tools-k'])
  })
})

describe('--no-cache', () => {
  it('makes anew what is there, once, and leaves the old one where other builds may be reading it', async () => {
    const old = await new Layers(folder, true).get('tools', 'k', await scratch('a'), writing('old'))
    const layers = new Layers(folder, false)
    const anew = await layers.get('tools', 'k', await scratch('b'), writing('new'))
    expect(await readFile(join(anew, 'file'), 'utf8')).toBe('new')
    expect(await readFile(join(old, 'file'), 'utf8')).toBe('old')
    expect(layers.made).toEqual(['tools'])
    const again = await layers.get('tools', 'k', await scratch('b'), fails)
    expect(await readFile(join(again, 'file'), 'utf8')).toBe('new')
  })

  it('keeps what was not there for later builds', async () => {
    const made = await new Layers(folder, false).get('tools', 'k', await scratch('a'), writing('1'))
    expect(await new Layers(folder, true).get('tools', 'k', await scratch('b'), fails)).toBe(made)
  })

  it('is removed when no build has used it for long', async () => {
    const layers = new Layers(folder, true)
    const old = await layers.get('tools', 'old', await scratch('a'), writing('1'))
    const recent = await layers.get('tools', 'recent', await scratch('b'), writing('2'))
    const monthAgo = new Date(Date.now() - 30 * 24 * 3600 * 1000)
    await utimes(old, monthAgo, monthAgo)
    await layers.prune(14)
    expect([existsSync(old), existsSync(recent)]).toEqual([false, true])
  })
})
