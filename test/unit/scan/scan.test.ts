import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cyclonedxDocument } from '../../../src/evidence/cyclonedx.ts'
import { materialsOf } from '../../../src/evidence/materials.ts'
import { readContained } from '../../../src/scan/contained.ts'
import { staleDays } from '../../../src/scan/download.ts'
import { readExploited, readFeeds } from '../../../src/scan/feed.ts'
import { lookUp } from '../../../src/scan/known.ts'
import { scan } from '../../../src/scan/scan.ts'
import { facts, subject } from '../../support/evidence/facts.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'
import { published } from '../../support/schemas.ts'
import { seeder } from '../../support/seeder.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder-scan-'))
})
afterAll(() => rm(root, { recursive: true }))

const trixie = { distribution: 'debian', suite: 'trixie' }

/** In the form of Debian's feed, which has a status for each release. */
const tracker = {
  haproxy: {
    'CVE-2026-1001': {
      releases: {
        trixie: { status: 'resolved', fixed_version: '3.0.11-1+deb13u6', urgency: 'not yet assigned' },
      },
    },
    'CVE-2026-1002': { releases: { trixie: { status: 'resolved', fixed_version: '3.0.11-1+deb13u5' } } },
    'CVE-2026-1003': {
      releases: { trixie: { status: 'resolved', fixed_version: '0' }, sid: { status: 'open' } },
    },
    'CVE-2026-1004': { releases: { sid: { status: 'open' } } },
  },
  glibc: {
    'CVE-2026-2001': {
      description: 'x',
      releases: { trixie: { status: 'open', urgency: 'unimportant', nodsa: 'Minor' } },
    },
    'CVE-2026-2002': { releases: { trixie: { status: 'undetermined' } } },
  },
  unused: { 'CVE-2026-3001': { releases: { trixie: { status: 'open' } } } },
}
const image = {
  release: trixie,
  sources: [
    { name: 'haproxy', version: '3.0.11-1+deb13u5' },
    { name: 'glibc', version: '2.41-12+deb13u4' },
  ],
  others: ['etcd 3.7.2'],
}
const now = new Date('2026-11-29T12:00:00Z')

/** Looks the image up in feeds, and in a catalog of exploited ones. */
async function scanned(feeds: readonly string[], exploited?: string) {
  const catalog = exploited === undefined ? undefined : await readExploited(exploited)
  return scan(image, { feeds: await readFeeds(feeds, trixie), catalog }, now)
}

const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex')

async function file(name: string, content: unknown): Promise<string> {
  const path = join(root, name)
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

describe('Debian’s feed', () => {
  it('has the status for a release: fixed by a newer package, open, or not examined', async () => {
    const path = await file('tracker.json', tracker)
    await utimes(path, now, new Date('2026-11-28T08:00:00Z'))
    expect(await scanned([path])).toEqual({
      scanned: '2026-11-29T12:00:00.000Z',
      release: trixie,
      catalog: null,
      notScanned: ['etcd 3.7.2'],
      feeds: [
        {
          kind: 'Debian security tracker',
          name: 'tracker.json',
          sha256: sha256(await readFile(path)),
          // It has no date itself.
          date: null,
          written: '2026-11-28T08:00:00.000Z',
          entries: 5,
        },
      ],
      vulnerabilities: [
        {
          id: 'CVE-2026-1001',
          source: 'haproxy',
          version: '3.0.11-1+deb13u5',
          fixed: '3.0.11-1+deb13u6',
          urgency: 'not yet assigned',
          exploited: null,
        },
        {
          id: 'CVE-2026-2001',
          source: 'glibc',
          version: '2.41-12+deb13u4',
          fixed: null,
          urgency: 'unimportant',
          exploited: null,
        },
      ],
      counts: {
        total: 2,
        fixable: 1,
        exploited: null,
        undetermined: 1,
        urgency: { 'not yet assigned': 1, unimportant: 1 },
      },
    })
  })

  it('with the catalog lists exploited ones first', async () => {
    const catalog = {
      catalogVersion: '1',
      dateReleased: '2026-11-27T17:03:12.4512Z',
      vulnerabilities: [{ cveID: 'CVE-2026-2001', vendorProject: 'GNU' }],
    }
    const found = await scanned([await file('tracker.json', tracker)], await file('kev.json', catalog))
    expect(found.vulnerabilities.map(({ id, exploited }) => [id, exploited])).toEqual([
      ['CVE-2026-2001', true],
      ['CVE-2026-1001', false],
    ])
    expect(found.counts).toMatchObject({ total: 2, fixable: 1, exploited: 1 })
    expect(found.catalog).toMatchObject({ name: 'kev.json', date: '2026-11-27T17:03:12.451Z' })
  })
})

describe('OSV’s format', () => {
  const vulnerability = (id: string, ecosystem: string, events: object[], more: object = {}) => ({
    id,
    affected: [{ package: { ecosystem, name: 'haproxy' }, ranges: [{ type: 'ECOSYSTEM', events }] }],
    ...more,
  })
  const found = [
    vulnerability('DEBIAN-CVE-2026-1', 'Debian:13', [{ introduced: '0' }, { fixed: '9' }], {
      upstream: ['CVE-2026-1'],
    }),
    vulnerability('DSA-2', 'Debian:13', [{ introduced: '0' }, { fixed: '1' }, { introduced: '3' }], {
      // It is about two.
      upstream: ['CVE-2026-2', 'CVE-2026-9'],
      modified: '2026-11-19T00:00:00Z',
    }),
    vulnerability('CVE-2026-3', 'Debian:13', [{ introduced: '0' }, { fixed: '3.0.11-1+deb13u5' }]),
    vulnerability('CVE-2026-4', 'Debian:12', [{ introduced: '0' }], { modified: '2026-11-20T00:00:00Z' }),
    vulnerability('CVE-2026-5', 'Debian:13', [{ introduced: '4' }]),
    vulnerability('CVE-2026-6', 'Debian:13', [{ introduced: '0' }], { withdrawn: '2026-01-01T00:00:00Z' }),
  ]

  it.each<[string, () => Promise<string>]>([
    ['an array', () => file('array.json', found)],
    ['one in each line', () => file('lines.json', found.map((one) => JSON.stringify(one)).join('\n'))],
    [
      'a folder of files',
      async () => {
        await mkdir(join(root, 'folder'))
        for (const one of found) await file(`folder/${one.id}.json`, one)
        return join(root, 'folder')
      },
    ],
  ])('is read as %s', async (_what, write) => {
    const path = await write()
    const { vulnerabilities, feeds } = await scanned([path])
    expect(vulnerabilities.map(({ id, fixed }) => [id, fixed])).toEqual([
      ['CVE-2026-1', '9'],
      ['CVE-2026-2', null],
      ['CVE-2026-9', null],
    ])
    // The newest entry’s, also of one that is about another release.
    expect(feeds).toMatchObject([{ kind: 'OSV', date: '2026-11-20T00:00:00.000Z', entries: 5 }])
    if (path.endsWith('folder')) {
      const { stdout } = await execa('sh', ['-c', 'sha256sum *.json | sha256sum'], { cwd: path })
      expect(feeds[0]?.sha256).toBe(stdout.slice(0, 64))
    }
  })

  it('and Debian’s together are combined without duplicates', async () => {
    const paths = [await file('tracker.json', tracker), await file('array.json', found)]
    const same = vulnerability('DSA-1', 'Debian:13', [{ introduced: '0' }], { upstream: ['CVE-2026-1001'] })
    const both = await scanned([...paths, await file('same.json', same)])
    expect(both.counts.total).toBe(2 + 3)
    expect(both.vulnerabilities.find(({ id }) => id === 'CVE-2026-1001')?.fixed).toBe('3.0.11-1+deb13u6')
    expect(both.feeds.map(({ name }) => name)).toEqual(['tracker.json', 'array.json', 'same.json'])
  })

  it('is read for Ubuntu, whose ecosystem has a suffix', async () => {
    const resolute = { distribution: 'ubuntu', suite: 'resolute' }
    const path = await file('ubuntu.json', [
      vulnerability('CVE-2026-7', 'Ubuntu:26.04:LTS', [{ introduced: '0' }]),
    ])
    const feeds = await readFeeds([path], resolute)
    expect(scan({ ...image, release: resolute }, { feeds, catalog: undefined }, now).counts.total).toBe(1)
  })
})

describe('a file that is no feed, or a feed of another release', () => {
  it.each<[string, unknown, string]>([
    ['something else', { haproxy: 1 }, 'is no known feed'],
    ['an empty list', [], 'is no known feed'],
    ['two trackers', [tracker, tracker], 'is no known feed'],
    ['no JSON', '<html>', 'is no JSON'],
    ['half of one', JSON.stringify(tracker).slice(0, 200), 'is no JSON'],
  ])('%s is refused', async (_what, content, complaint) => {
    await expect(readFeeds([await file('other.json', content)], trixie)).rejects.toThrow(complaint)
  })

  it('a missing file, or no catalog, is refused', async () => {
    await expect(readFeeds([join(root, 'none')], trixie)).rejects.toThrow('cannot be read')
    for (const content of [{}, [{ vulnerabilities: [] }, { vulnerabilities: [] }]]) {
      await expect(readExploited(await file('no-kev.json', content))).rejects.toThrow('no list of exploited')
    }
  })

  it('a feed of another release is an error: its silence would look like safety', async () => {
    const sid = await file('sid.json', {
      haproxy: { 'CVE-2026-1': { releases: { sid: { status: 'open' } } } },
    })
    const feeds = await readFeeds([sid], trixie)
    expect(lookUp(image, undefined, { feeds, catalog: undefined }, now)).toEqual({
      isScanned: false,
      reason: 'sid.json has no entry about debian trixie',
    })
    const path = await file('tracker.json', tracker)
    const both = { feeds: await readFeeds([sid, path], trixie), catalog: undefined }
    expect(lookUp(image, undefined, both, now)).toMatchObject({ isScanned: true, changes: null })
  })
})

it.each([
  ['of its own date, whenever it was written', '2026-11-22T12:00:00Z', '2026-11-29T00:00:00Z', undefined],
  ['a week later', '2026-11-21T12:00:00Z', '2026-11-29T00:00:00Z', 8],
  ['without a date, as old as its file at least', null, '2026-08-31T12:00:00Z', 90],
  ['without a date, of a file that was written just now', null, '2026-11-29T11:59:00Z', undefined],
])('a feed %s is this stale', (_what, date, written, days) => {
  expect(staleDays({ name: 'x', sha256: '', date, written }, now.toISOString())).toBe(days)
})

it('reads source packages from a bill of materials, and lists packages of no distribution', () => {
  const bill = cyclonedxDocument(subject, materialsOf(facts), { name: 'seeder', version: '1' })
  const contained = readContained(JSON.parse(bill), 'x.cdx.json')
  expect(contained.release).toEqual({ distribution: 'ubuntu', suite: 'resolute' })
  expect(contained.sources).toContainEqual({ name: 'glibc', version: '2.41-12+deb13u4' })
  expect(contained.others.toSorted()).toEqual(['etcd 3.7.2', 'kube-proxy v1.37.1', 'kubelet 1.37.1-1.1'])
  const signed = bill.replaceAll('"value": "glibc"', '"value": "linux-signed-amd64"')
  expect(readContained(JSON.parse(signed), 'x').sources).toContainEqual({
    name: 'linux',
    version: '2:2.41-12+deb13u4',
  })
})

describe('`scan`', () => {
  let folder: string
  let feed: string
  beforeAll(async () => {
    folder = join(root, 'build')
    const { manifest } = await makeTestedBuild(folder, null)
    const bill = cyclonedxDocument(subject, materialsOf(facts), { name: 'seeder', version: '1' })
    await writeFile(join(folder, `${manifest.image}-${manifest.version}.cdx.json`), bill)
    feed = await file('cli.json', {
      glibc: {
        'CVE-2026-2001': {
          releases: { resolute: { status: 'resolved', fixed_version: '9', urgency: 'high' } },
        },
      },
    })
  })
  const run = (...argv: string[]) => seeder(['scan', folder, ...argv])

  it('prints its findings, and exits as --fail-on says', async () => {
    const { code, stdout } = await run('--feed', feed)
    expect(code).toBe(0)
    expect(stdout).toMatch(/CVE-2026-2001 +glibc 2\.41\S+ +9 +high/)
    expect(stdout).toContain('1 known vulnerabilities, 1 fixed by a newer package')
    expect(stdout).toContain('in no feed of this kind: etcd 3.7.2, kube-proxy v1.37.1, kubelet 1.37.1-1.1')
    expect(stdout).toMatch(/^cli\.json \(Debian security tracker, 1 entries .*sha256 [0-9a-f]{64}$/m)
    expect(await run('--feed', feed, '--fail-on', 'fixable')).toMatchObject({ code: 1 })
    const unknown = await run('--feed', feed, '--fail-on', 'exploited')
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('--exploited') })
    const json = await run('--feed', feed, '--json')
    expect(await published('printed/scan', JSON.parse(json.stdout))).toMatchObject({
      counts: { total: 1, fixable: 1, exploited: null },
    })
  })

  it('accepts several feeds, requires one about the release, and reports outdated ones', async () => {
    const other = await file('sid.json', { glibc: { 'CVE-1': { releases: { sid: { status: 'open' } } } } })
    expect(await run('--feed', other)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('sid.json has no entry about ubuntu resolute'),
    })
    const old = await file('old.json', await readFile(feed, 'utf8'))
    await utimes(old, 0, 0)
    const { code, stdout } = await run('--feed', other, '--feed', old)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^stale: old\.json was \d{5} days old/m)
  })

  it('needs a feed, and a bill of materials', async () => {
    expect(await run()).toMatchObject({ code: 2, stderr: expect.stringContaining('--feed') })
    const bare = join(root, 'bare')
    await makeTestedBuild(bare, null)
    expect(await seeder(['scan', bare, '--feed', feed])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('has no bill of materials'),
    })
  })
})
