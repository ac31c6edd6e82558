import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fillWithContainers } from '../../../src/build/containers/fetch.ts'
import type { LockedContainer } from '../../../src/image/lock.ts'
import { lockContainers } from '../../../src/image/lock-container.ts'
import { parseReference } from '../../../src/image/reference.ts'
import { createProgress } from '../../../src/report/progress.ts'
import { Store } from '../../../src/store/store.ts'
import { type FaultyRegistry, serveFaulty } from '../../support/registry/faulty.ts'
import { writeLayout } from '../../support/registry/layout.ts'
import { type Registry, startRegistry } from '../../support/registry/registry.ts'

/** Container images of Debian's docker-registry, on loopback, read by the real skopeo. */
const root = await mkdtemp(join(tmpdir(), 'seeder-containers-'))
const variable = 'SEEDER_MIRROR_REGISTRY_EXAMPLE'
let registry: Registry
let faulty: FaultyRegistry
let store: Store
const scratch = join(root, 'scratch')

beforeAll(async () => {
  await mkdir(join(root, 'registry'))
  registry = await startRegistry(join(root, 'registry'))
  faulty = await serveFaulty(registry.url)
  const tree = join(root, 'tree')
  await mkdir(tree)
  // It cannot be compressed: a half of it is less than the whole.
  await writeFile(join(tree, 'program'), randomBytes(3_000_000))
  const layout = join(root, 'layout')
  await writeLayout(
    [
      { reference: 'tool', tree },
      { reference: 'foreign', tree, architecture: 'arm64' },
    ],
    layout,
  )
  await registry.push(layout, 'tool', 'apps/tool:v1')
  await registry.push(layout, 'tool', 'apps/other-machines:v1', ['arm64', 's390x'])
  await registry.push(layout, 'foreign', 'apps/mislabelled:v1')
})
afterAll(async () => {
  await faulty.close()
  await registry.close()
  await rm(root, { recursive: true, force: true })
})
beforeEach(async () => {
  process.env[variable] = faulty.url
  faulty.fault = undefined
  await mkdir(scratch)
  store = new Store(join(root, 'store'), scratch)
})
afterEach(async () => {
  delete process.env[variable]
  expect(await readdir(scratch)).toEqual([])
  await rm(scratch, { recursive: true })
  await rm(join(root, 'store'), { recursive: true, force: true })
})

const lock = async (path = 'apps/tool:v1') => lockContainers([parseReference(`registry.example/${path}`)])
const fetchInto = (containers: readonly LockedContainer[], silenceMs?: number) =>
  fillWithContainers(store, containers, {
    scratch,
    progress: createProgress({ write: () => true }, {}, true),
    silenceMs,
  })

describe('a container image', () => {
  it('is locked by the manifest of linux/amd64 and its blobs, without reading a layer', async () => {
    faulty.requests.length = 0
    const [locked] = await lock()
    expect(locked).toMatchObject({ name: 'tool', version: 'v1', reference: 'registry.example/apps/tool:v1' })
    expect(locked?.blobs).toHaveLength(2)
    const layer = locked?.blobs[1]
    expect(layer?.size).toBeGreaterThan(3_000_000)
    expect(faulty.requests.filter((path) => path.includes(layer?.sha256 ?? 'none'))).toEqual([])
  })

  it('is in the store after one download, each file by its digest, and a damaged one is read again', async () => {
    const locked = await lock()
    await fetchInto(locked)
    const [{ sha256, blobs } = { sha256: '', blobs: [] }] = locked
    for (const file of [sha256, ...blobs.map((blob) => blob.sha256)])
      expect(await store.verify(file)).toBe(true)
    const manifest = JSON.parse(await readFile(store.path(sha256), 'utf8'))
    expect(manifest.config.digest).toBe(`sha256:${blobs[0]?.sha256}`)

    faulty.requests.length = 0
    await fetchInto(locked)
    expect(faulty.requests).toEqual([])
    const layer = store.path(blobs[1]?.sha256 ?? '')
    await writeFile(layer, Buffer.alloc((await readFile(layer)).length))
    await fetchInto(locked)
    expect(await store.verify(blobs[1]?.sha256 ?? '')).toBe(true)
  })
})

describe('the lock is refused', () => {
  it.each([
    [
      'a list without ours',
      'apps/other-machines:v1',
      /is not for linux\/amd64, but for linux\/arm64, linux\/s390x/,
    ],
    [
      'an image for another machine than its list says',
      'apps/mislabelled:v1',
      /is not for linux\/amd64, but for linux\/arm64/,
    ],
    [
      'a tag that is not there',
      'apps/tool:v2',
      /apps\/tool:v2 from 127\.0\.0\.1:\d+\/apps\/tool failed: reading manifest v2 .*manifest unknown/,
    ],
  ])('%s', async (_what, path, message) => {
    await expect(lock(path)).rejects.toThrow(message)
  })

  it('a registry that requires a login', async () => {
    faulty.fault = { path: /./, kind: 'login' }
    await expect(lock()).rejects.toMatchObject({
      message: expect.stringMatching(/failed: .*(unauthorized|authentication required)/),
      fix: expect.stringContaining('public container images only'),
    })
  })

  it('a manifest that is not the one of its digest', async () => {
    faulty.fault = { path: /manifests\/sha256/, kind: 'tampered' }
    await expect(lock()).rejects.toThrow(/digest|serves another file/)
  })

  it('what is no image', async () => {
    faulty.fault = { path: /manifests\/v1/, kind: 'tampered' }
    await expect(lock()).rejects.toThrow(/registry\.example\/apps\/tool:v1/)
  })

  it('a registry that is away', async () => {
    process.env[variable] = 'http://127.0.0.1:1'
    await expect(lock()).rejects.toMatchObject({
      message: expect.stringContaining('connection refused'),
      fix: expect.stringContaining(variable),
    })
  })
})

it('an error of this machine is not said to be the registry’s', async () => {
  const locked = await lock()
  await writeFile(join(root, 'store'), 'no folder')
  await expect(fetchInto(locked)).rejects.toThrow(/ENOTDIR|EEXIST/)
})

describe('a download ends, and nothing of it is left', () => {
  it.each([
    ['truncated', /failed: /],
    ['tampered', /digest/i],
    ['endless', /a blob is longer than the \d+ bytes of the lock/],
    ['stalled', /no data for 2 s/],
    ['login', /unauthorized|authentication required/],
  ] as const)('%s', async (kind, message) => {
    const locked = await lock()
    faulty.fault = { path: /blobs\//, kind }
    await expect(fetchInto(locked, 2000)).rejects.toThrow(message)
    const layer = locked[0]?.blobs[1]
    expect(await store.has(layer?.sha256 ?? '', layer?.size ?? 0)).toBe(false)
  })
})
