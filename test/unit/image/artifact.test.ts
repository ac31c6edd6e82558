import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { type Image, loadImage } from '../../../src/image/definition.ts'
import { requestDigest } from '../../../src/image/lock.ts'
import { lockArtifact } from '../../../src/image/lock-artifact.ts'
import { type FileServer, serveFiles } from '../../support/archive/server.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder artifacts '))
const www = join(root, 'www')
const project = join(root, 'project')
const tarball = Buffer.from('not really a tarball')
const digest = createHash('sha256').update(tarball).digest('hex')
let server: FileServer

beforeAll(async () => {
  await mkdir(www)
  server = await serveFiles(www)
})
beforeEach(async () => {
  server.faults.clear()
  await writeFile(join(www, 'thing-3.7.2.tar.gz'), tarball)
  await writeFile(join(www, 'SHA256SUMS'), `${'0'.repeat(64)}  other.tar.gz\n${digest}  thing-3.7.2.tar.gz\n`)
})
afterAll(async () => {
  await server.close()
  await rm(root, { recursive: true })
})

const artifact = () => ({
  versions: { '3.7': '3.7.2', '3.6': '3.6.16' } as Record<string, string>,
  urls: [`${server.url}thing-{version}.tar.gz`],
  checksums: `${server.url}SHA256SUMS`,
  files: { 'thing-{version}/thing': '/usr/bin/thing' },
})

/** An image with one artifact, as `change` leaves it. */
async function define(
  change: (image: Record<string, unknown>) => void = () => {},
  line?: string,
): Promise<Image> {
  const image = {
    description: 'a test',
    base: 'small',
    roles: ['etcd'],
    lines: ['3.7', '3.6'],
    packages: [],
    version: { artifact: 'thing', revision: 2 },
    artifacts: { thing: artifact() },
  }
  change(image)
  const base = {
    distribution: 'test',
    suite: 'stable',
    components: ['main'],
    keyring: '/k.gpg',
    kernel: 'linux',
    pockets: [{ archive: 'debian', suite: 'stable' }],
    packages: [],
    tools: ['tool'],
  }
  for (const [path, content] of Object.entries({ 'base/small.yaml': base, 'box/image.yaml': image })) {
    await mkdir(dirname(join(project, 'images', path)), { recursive: true })
    await writeFile(join(project, 'images', path), stringify(content))
  }
  return loadImage(project, 'box', { line })
}

const only = async (change?: (image: Record<string, unknown>) => void) => {
  const [one] = (await define(change)).artifacts
  if (!one) throw new Error('no artifact')
  return one
}

describe('lines', () => {
  it('choose the version, everywhere in the definition', async () => {
    const image = await define(undefined, '3.6')
    expect(image.artifacts[0]).toMatchObject({
      version: '3.6.16',
      urls: [`${server.url}thing-3.6.16.tar.gz`],
      files: { 'thing-3.6.16/thing': '/usr/bin/thing' },
    })
    expect(image.lockFile).toBe(join(project, 'images/box/image.3.6.lock.json'))
    expect(image.lockOptions).toEqual(['--line', '3.6'])
  })

  it('have a default, the first, with the plain lock', async () => {
    const image = await define()
    expect(image.line).toBe('3.7')
    expect(image.lockFile).toBe(join(project, 'images/box/image.lock.json'))
    expect(requestDigest(image)).not.toBe(requestDigest(await define(undefined, '3.6')))
  })

  it('that do not exist are refused, with the existing ones', async () => {
    await expect(define(undefined, '3.5')).rejects.toMatchObject({
      message: 'box has no line "3.5"',
      fix: 'use one of: 3.7, 3.6',
    })
  })
})

describe('a definition is refused with its place when an artifact', () => {
  const refusal = (change: (thing: Record<string, unknown>) => void) =>
    define((image) => change((image.artifacts as Record<string, Record<string, unknown>>).thing ?? {})).then(
      () => '',
      (error: Error) => error.message.replace(project, ''),
    )

  it('has neither a sha256 nor upstream’s list', async () => {
    expect(await refusal((thing) => delete thing.checksums)).toMatch(
      /^\/images\/box\/image\.yaml:\d+:\d+: thing 3\.7\.2, 3\.6\.16 has no sha256; add sha256:, or checksums:/,
    )
  })

  it('has a sha256 for one version only', async () => {
    const found = await refusal((thing) => {
      delete thing.checksums
      thing.sha256 = { '3.7.2': digest }
    })
    expect(found).toContain('thing 3.6.16 has no sha256')
  })

  it('is both a tarball and a whole file, or neither', async () => {
    expect(await refusal((thing) => (thing.file = '/usr/lib/thing.tar'))).toContain(
      'thing has both files and file',
    )
    expect(await refusal((thing) => delete thing.files)).toContain('thing has neither files nor file')
  })

  it('has no version for a line', async () => {
    expect(await refusal((thing) => (thing.versions = { '3.7': '3.7.2' }))).toContain(
      'thing has no version for the line 3.6; add it to versions',
    )
  })

  it('has an invalid digest', async () => {
    expect(await refusal((thing) => (thing.sha256 = 'abc'))).toContain('artifacts.thing.sha256')
  })

  it.each(['/etc/passwd', '/usr/../etc/passwd', 'usr/bin/thing', '/usr/'])(
    'is to be put at %s',
    async (path) => {
      expect(await refusal((thing) => (thing.files = { thing: path }))).toContain('give a path below /usr/')
    },
  )

  it.each(['../thing', '/thing', '--to-command=x'])('is to give the file %s', async (path) => {
    expect(await refusal((thing) => (thing.files = { [path]: '/usr/bin/thing' }))).not.toBe('')
  })

  it('is the version of an image that does not have it', async () => {
    await expect(define((image) => (image.version = { artifact: 'other', revision: 1 }))).rejects.toThrow(
      'there is no artifact other; use one of: thing',
    )
  })
})

describe('locking an artifact', () => {
  it('pins the downloaded file when upstream’s list has the same digest', async () => {
    expect(await lockArtifact(await only())).toEqual({
      name: 'thing',
      version: '3.7.2',
      size: tarball.length,
      sha256: digest,
      urls: [`${server.url}thing-3.7.2.tar.gz`],
    })
  })

  it('tries the next URL when one does not respond', async () => {
    const one = await only((image) => {
      const thing = {
        ...artifact(),
        urls: [`${server.url}gone.tar.gz`, `${server.url}thing-{version}.tar.gz`],
      }
      image.artifacts = {
        thing: { ...thing, checksums: undefined, sha256: { '3.7.2': digest, '3.6.16': digest } },
      }
    })
    expect(await lockArtifact(one)).toMatchObject({ sha256: digest })
  })

  it('is refused when upstream’s list has another digest', async () => {
    server.faults.set('thing-3.7.2.tar.gz', 'tampered')
    await expect(lockArtifact(await only())).rejects.toMatchObject({
      message: expect.stringMatching(
        new RegExp(
          `^downloaded thing 3.7.2 from upstream: its sha256 is [0-9a-f]{64}, but ${digest} in upstream’s list .*SHA256SUMS$`,
        ),
      ),
    })
  })

  it('is refused when the definition has another digest', async () => {
    const pinned = await only((image) => {
      image.artifacts = { thing: { ...artifact(), sha256: { '3.7.2': 'f'.repeat(64) } } }
    })
    await expect(lockArtifact(pinned)).rejects.toThrow(`but ${'f'.repeat(64)} in the definition`)
  })

  it('is refused when upstream does not list it', async () => {
    await writeFile(join(www, 'SHA256SUMS'), `${digest}  another.tar.gz\n`)
    await expect(lockArtifact(await only())).rejects.toThrow('SHA256SUMS does not list thing-3.7.2.tar.gz')
  })

  it.each(['missing', 'failing'] as const)('fails with the URL when it is %s', async (fault) => {
    server.faults.set('thing-3.7.2.tar.gz', fault)
    const status = fault === 'missing' ? 404 : 503
    await expect(lockArtifact(await only())).rejects.toThrow(
      `Fetching thing 3.7.2 failed: ${server.url}thing-3.7.2.tar.gz: HTTP ${status}`,
    )
  })

  it('fails with the URL when the server does not exist', async () => {
    const one = await only((image) => {
      image.artifacts = { thing: { ...artifact(), urls: ['http://127.0.0.1:1/thing.tar.gz'] } }
    })
    await expect(lockArtifact({ ...one, checksums: undefined })).rejects.toThrow(
      'Fetching thing 3.7.2 failed: http://127.0.0.1:1/thing.tar.gz: ',
    )
  })
})
