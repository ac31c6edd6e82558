import { describe, expect, it } from 'vitest'
import { pageName, pageOf } from '../../../src/page/page.ts'
import { bootOf } from '../../../src/page/view/boot.ts'
import { sizesOf } from '../../../src/page/view/sizes.ts'
import { differenceOf } from '../../../src/release/difference/difference.ts'
import { someManifest, someRecord } from '../../support/build-record.ts'
import { HOSTILE, rightFindings, someFacts, someImage } from '../../support/page/facts.ts'

type Facts = ReturnType<typeof someFacts>

/** The answer to a question, with its reason. */
function answer(question: string, facts: Facts): string {
  const found = pageOf(facts).answers.find((other) => other.question === question)
  return `${found?.mark}: ${found?.text} | ${found?.reason}`
}

const { finished, findings } = someFacts()
const withRecord = (record: Facts['finished']['record']) => someFacts({ finished: { ...finished, record } })
const record = finished.record ?? someRecord()

describe('the answer "Tested"', () => {
  it('is right with a report of this disk that passed', () => {
    expect(answer('Tested', someFacts())).toBe(
      'right: Passed: 2 of 3 checks, 1 skipped | Booted in QEMU 10.0.2, emulated, 2026-11-28 12:00 UTC, in 3\u00a0min\u00a020\u00a0s. First boot done after 47.0\u00a0s.',
    )
  })

  it.each<[string, Facts['finished']['record'], RegExp]>([
    ['is missing without a report', undefined, /^missing: Not tested \| There is no test-report\.json/],
    [
      'is wrong with the report of another disk',
      { ...record, raw: { sha256: 'f'.repeat(64) } },
      /^wrong: Not tested \| .* is about another disk/,
    ],
    ['is wrong with the report of another version', { ...record, version: '1-1' }, /^wrong: Not tested/],
    ['is wrong with a report that failed', { ...record, passed: false }, /^wrong: Failed: 0 of 3/],
    [
      'is wrong with a report that claims to have passed and has failed checks',
      { ...record, checks: record.checks.map((one) => ({ ...one, status: 'failed' as const })) },
      /^wrong: Failed: 3 of 3 checks/,
    ],
    ['is wrong with a report without checks', { ...record, checks: [] }, /^wrong: Nothing was checked/],
    [
      'is open with a report that names no disk',
      { ...record, raw: { sha256: null } },
      /^open: Passed: .* of which disk/,
    ],
  ])('%s', (_, other, expected) => {
    expect(answer('Tested', withRecord(other))).toMatch(expected)
  })

  it('comes without the checks of another disk', () => {
    const page = pageOf(withRecord({ ...record, raw: { sha256: 'f'.repeat(64) } }))
    expect(page.bootTest.groups).toEqual([])
    expect(page.boot).toBeUndefined()
  })
})

describe('the answer "Signed"', () => {
  const signature = (result: 'right' | 'wrong' | 'not checked', found: string) =>
    someFacts({ findings: [{ what: 'signature', result, found }, ...findings.slice(1)] })

  it('names the signer when the signature was checked', () => {
    expect(answer('Signed', someFacts())).toMatch(/^right: Signed by release@acme\.example/)
  })

  it('is missing without a signature, whatever the findings are', () => {
    expect(answer('Signed', someFacts({ hasSignature: false }))).toMatch(/^missing: Not signed/)
  })

  it('is missing when there was no list of signers', () => {
    expect(answer('Signed', signature('not checked', 'not requested'))).toMatch(
      /^missing: Signature not checked/,
    )
  })

  it('is wrong when no allowed signer made the signature', () => {
    expect(answer('Signed', signature('wrong', 'SHA256SUMS is signed by nobody'))).toBe(
      'wrong: Wrong signature | SHA256SUMS is signed by nobody.',
    )
  })
})

describe('the answer "Intact"', () => {
  const damaged = rightFindings(finished).map((one) =>
    one.what.endsWith('.qcow2') ? { ...one, result: 'wrong' as const, found: 'its sha256 is another' } : one,
  )

  it('counts the right findings except the signature', () => {
    expect(answer('Intact', someFacts())).toMatch(/^right: All in order \| 3 findings/)
  })

  it('names what is wrong, and calls the disk wrong in the chain', () => {
    const facts = someFacts({ findings: damaged })
    expect(answer('Intact', facts)).toBe('wrong: Do not use | haproxy-3.0.12-1.qcow2: its sha256 is another.')
    expect(pageOf(facts).trust.chain.find(({ name }) => name === 'Disk')).toMatchObject({
      mark: 'wrong',
      text: expect.stringContaining('was not found to be the file'),
    })
  })

  it('comes with a chain in which nothing is right that was not checked', () => {
    const chain = pageOf(someFacts({ findings: [], hasSignature: false })).trust.chain
    expect(chain.map(({ name, mark }) => [name, mark])).toEqual([
      ['Source', 'open'],
      ['Lock', 'open'],
      ['Builder', 'open'],
      ['Disk', 'open'],
      ['Boot test', 'right'],
      ['Signature', 'missing'],
    ])
  })

  it('comes with a chain that mentions uncommitted changes', () => {
    const manifest = { ...finished.manifest, source: { commit: '1'.repeat(40), dirty: true } }
    const [source] = pageOf(someFacts({ finished: { ...finished, manifest } })).trust.chain
    expect(source).toMatchObject({
      mark: 'wrong',
      text: expect.stringContaining('uncommitted changes'),
    })
  })
})

describe('the answer "Changed"', () => {
  it('is one sentence', () => {
    expect(answer('Changed', someFacts())).toBe(
      'differs: Packages: 1 changed, 1 new, 1 gone | Since the promoted version 3.0.11-1; 27 files differ; /usr has the same size.',
    )
  })

  it('is "Nothing" when the disk is the same', () => {
    const difference = differenceOf(finished, finished)
    const comparison = { difference, changelogs: [], promoted: false }
    expect(answer('Changed', someFacts({ comparison }))).toMatch(
      /^right: Nothing \| .*version 3\.0\.12-1, bit/,
    )
  })

  it('is open without a comparison', () => {
    expect(answer('Changed', someFacts({ comparison: undefined }))).toMatch(/^open: Not compared/)
  })

  it('is wrong when a check does not pass any more', () => {
    const [first, ...checks] = record.checks
    const broken = {
      ...record,
      checks: [{ ...record.checks[0], status: 'failed' } as typeof first & object, ...checks],
    }
    const difference = differenceOf(someImage('3.0.11-1'), { ...finished, record: broken })
    expect(
      answer('Changed', someFacts({ comparison: { difference, changelogs: [], promoted: true } })),
    ).toMatch(/^wrong: .*1 checks do not pass any more/)
  })

  it('comes with at most 250 names of files, and their total number', () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`new${at}`, '1']))
    const difference = differenceOf(someImage('3.0.11-1'), someImage('3.0.12-1', many))
    const { found } = pageOf(
      someFacts({ comparison: { difference, changelogs: [], promoted: true } }),
    ).changes
    const added = found?.files?.find(({ title }) => title === 'Files added')
    expect([added?.names.length, added?.total]).toEqual([250, 480])
  })
})

describe('the first boot', () => {
  it('has consecutive stages, units relative to the start of the kernel, and the marker', () => {
    expect(bootOf(record)).toMatchObject({
      endMs: 50_000,
      ticksMs: [0, 10_000, 20_000, 30_000, 40_000, 50_000],
      spans: [
        { name: 'firmware', startMs: 0, ms: 4000 },
        { name: 'loader', startMs: 4000, ms: 1000 },
        { name: 'kernel', startMs: 5000, ms: 6000 },
        { name: 'initrd', startMs: 11_000, ms: 9000 },
        { name: 'userspace', startMs: 20_000, ms: 20_000 },
        { name: 'cloud-init.service', kind: 'unit', startMs: 21_000, ms: 9000 },
        { name: HOSTILE, kind: 'unit', startMs: 31_000, ms: 2000 },
        { kind: 'ready', startMs: 47_000 },
      ],
    })
  })

  it('has only the marker for an old report, and nothing for a boot that never ended', () => {
    expect(bootOf(someRecord({ boot: { readyMs: 9000 } }))?.spans).toHaveLength(1)
    expect(bootOf(someRecord({ boot: { readyMs: null } }))).toBeUndefined()
  })
})

describe('sizes', () => {
  const file = (path: string, size: number, owner: string | null = 'package:a') =>
    ({ path, type: 'file', mode: '0644', ids: '0:0', size, sha256: '0'.repeat(64), owner }) as const

  it('are packed by folder, with owner and change, without empty files', () => {
    const difference = {
      added: ['/usr/b/new'],
      removed: [],
      folders: [],
      changed: [
        { path: '/usr/a', what: ['content'] },
        { path: '/usr/b/c', what: ['mode'] },
      ],
      units: { enabled: [], disabled: [], masked: [], unmasked: [] },
    }
    const files = [
      file('/usr/a', 5),
      file('/usr/b/c', 7, null),
      file('/usr/b/new', 1),
      file('/usr/b/empty', 0),
      { path: '/usr/l', type: 'link', mode: '0777', ids: '0:0', target: '/x', owner: 'package:a' } as const,
    ]
    const { packed, total } = sizesOf(files, difference)
    expect(total).toBe(13)
    expect(packed).toEqual({
      owners: ['nobody', 'package:a'],
      root: [
        '',
        [
          [
            'usr',
            [
              [
                'b',
                [
                  ['c', 7, 0],
                  ['new', 1, 1, 2],
                ],
              ],
              ['a', 5, 1, 1],
            ],
          ],
        ],
      ],
    })
  })

  it('list the large folders, three levels deep', () => {
    const { folders } = sizesOf(
      [file('/usr/lib/x/y/z', 990), file('/etc/a', 8), file('/etc/b', 2)],
      undefined,
    )
    expect(folders).toEqual([
      { path: '/etc', size: 10, files: 2 },
      { path: '/usr', size: 990, files: 1 },
      { path: '/usr/lib', size: 990, files: 1 },
      { path: '/usr/lib/x', size: 990, files: 1 },
    ])
  })
})

describe('packages', () => {
  it('have facts from the bill of materials, the files and the comparison', () => {
    const packages = pageOf(someFacts()).packages
    expect(packages.find(({ name }) => name === 'haproxy')).toMatchObject({
      version: '3.0.12-1',
      source: 'haproxy',
      licence: 'GPL-2.0-or-later',
      files: 12,
      change: '3.0.11-1+deb13u1',
    })
    expect(packages.find(({ name }) => name === 'lua')).toMatchObject({ change: 'new', licence: undefined })
    expect(packages.find(({ kind }) => kind === 'definition')).toMatchObject({ files: 2, size: 40 })
  })

  it('have no sizes when the files are not known', () => {
    const page = pageOf(someFacts({ finished: { ...finished, inventory: undefined }, bill: [] }))
    expect(page.packages.every(({ size }) => size === undefined)).toBe(true)
    expect(page.sizes).toBeUndefined()
  })
})

it('links the documents when the page is in their folder', () => {
  const urls = (beside: boolean) => pageOf(someFacts({ beside })).documents.map(({ url }) => url)
  expect(urls(true)).toContain('haproxy-3.0.12-1.spdx.json')
  expect(urls(false).every((url) => url === undefined)).toBe(true)
  expect(pageName(someManifest())).toBe('haproxy-3.0.11-1.report.html')
})
