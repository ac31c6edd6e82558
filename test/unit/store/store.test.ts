import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { Store } from '../../../src/store/store.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder store '))
let store: Store
let scratch = ''
let count = 0
beforeEach(async () => {
  scratch = join(root, `scratch ${count}`)
  await mkdir(scratch)
  store = new Store(join(root, String(count++)), scratch)
})
afterAll(() => rm(root, { recursive: true }))

const content = Buffer.from('the bytes of a package\n'.repeat(1000))
const expected = { sha256: createHash('sha256').update(content).digest('hex'), size: content.length }

async function* chunks(bytes: Buffer, size = 4096): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** Every file in the store and in its scratch folder. */
async function files(): Promise<string[]> {
  const entries = await Promise.all(
    [store.folder, scratch].map((folder) =>
      readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []),
    ),
  )
  return entries
    .flat()
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
}

test('what has its digest and size is stored under its digest', async () => {
  let heard = 0
  expect(await store.has(expected.sha256, expected.size)).toBe(false)
  const added = await store.add(chunks(content), expected, (bytes) => {
    heard += bytes
  })
  expect(added).toEqual({ stored: true })
  expect(heard).toBe(expected.size)
  expect(await store.has(expected.sha256, expected.size)).toBe(true)
  expect(await store.verify(expected.sha256)).toBe(true)
  expect(await readFile(store.path(expected.sha256))).toEqual(content)
  expect(await files()).toEqual([expected.sha256])
})

test('another content of the same size is refused with its digest, and nothing of it is kept', async () => {
  const other = Buffer.alloc(expected.size, 'x')
  expect(await store.add(chunks(other), expected)).toEqual({
    stored: false,
    sha256: createHash('sha256').update(other).digest('hex'),
    size: expected.size,
  })
  expect(await files()).toEqual([])
})

test('a short body is refused with its length', async () => {
  expect(await store.add(chunks(content.subarray(0, 100)), expected)).toMatchObject({
    stored: false,
    size: 100,
  })
  expect(await files()).toEqual([])
})

test('a body without end is given up as soon as it is too long', async () => {
  let given = 0
  async function* endless() {
    for (;;) {
      given += 4096
      yield Buffer.alloc(4096)
    }
  }
  expect(await store.add(endless(), expected)).toMatchObject({ stored: false })
  expect(given).toBeLessThan(expected.size + 1_000_000)
  expect(await files()).toEqual([])
})

test('a body that breaks off with an error leaves nothing', async () => {
  async function* broken() {
    yield content.subarray(0, 100)
    throw new Error('connection reset')
  }
  await expect(store.add(broken(), expected)).rejects.toThrow('connection reset')
  expect(await files()).toEqual([])
})

test('many may add the same file at once', async () => {
  const added = await Promise.all(Array.from({ length: 8 }, () => store.add(chunks(content, 100), expected)))
  expect(added).toEqual(Array.from({ length: 8 }, () => ({ stored: true })))
  expect(await files()).toEqual([expected.sha256])
  expect(await store.verify(expected.sha256)).toBe(true)
})

test('a file that changed on the disk is noticed by its size or by its digest', async () => {
  await store.add(chunks(content), expected)
  await writeFile(store.path(expected.sha256), Buffer.alloc(expected.size, 'x'))
  expect(await store.has(expected.sha256, expected.size)).toBe(true)
  expect(await store.verify(expected.sha256)).toBe(false)
  await writeFile(store.path(expected.sha256), 'short')
  expect(await store.has(expected.sha256, expected.size)).toBe(false)
  await store.remove(expected.sha256)
  await store.remove(expected.sha256)
  expect(await files()).toEqual([])
})

test('a process that is killed while it writes leaves nothing under a digest', async () => {
  const module = join(import.meta.dirname, '../../../src/store/store.ts')
  const script = `
    import { Store } from ${JSON.stringify(module)}
    async function* slow() {
      yield Buffer.from('the bytes of a package\\n')
      console.log('writing')
      await new Promise((resolve) => setTimeout(resolve, 60_000))
    }
    await new Store(${JSON.stringify(store.folder)}, ${JSON.stringify(scratch)}).add(slow(), ${JSON.stringify(expected)})`
  const writer = execa('node', ['--input-type=module', '-e', script], { reject: false, buffer: false })
  await new Promise((resolve) => writer.stdout?.once('data', resolve))
  writer.kill('SIGKILL')
  await writer
  expect(await store.has(expected.sha256, expected.size)).toBe(false)
  expect(await files()).not.toContain(expected.sha256)
  expect(await store.add(chunks(content), expected)).toEqual({ stored: true })
})
