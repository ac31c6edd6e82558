import { describe, expect, it } from 'vitest'
import { pageName, pageOf } from '../../../src/page/page.ts'
import { bootOf } from '../../../src/page/view/boot.ts'
import { sizesOf } from '../../../src/page/view/sizes.ts'
import { differenceOf } from '../../../src/release/difference/difference.ts'
import { someManifest, someRecord } from '../../support/build-record.ts'
import { HOSTILE, rightFindings, someFacts, someImage } from '../../support/page/facts.ts'

type Facts = ReturnType<typeof someFacts>

/** The answer to a question, and what stands behind it. */
function answer(question: string, facts: Facts): string {
  const found = pageOf(facts).answers.find((one) => one.question === question)
  return `${found?.mark}: ${found?.words} | ${found?.because}`
}

const { finished, findings } = someFacts()
const withRecord = (record: Facts['finished']['record']) => someFacts({ finished: { ...finished, record } })
const record = finished.record ?? someRecord()

describe('whether it is proven', () => {
  it('by a green report of this very disk', () => {
    expect(answer('Proven', someFacts())).toBe(
      'right: Passed: 2 of 3 checks, 1 skipped | Booted in QEMU 10.0.2, emulated, 2026-11-28 12:00 UTC, in 3\u00a0min\u00a020\u00a0s. First boot done after 47.0\u00a0s.',
    )
  })

  it.each<[string, Facts['finished']['record'], RegExp]>([
    ['not without a report', undefined, /^missing: Not tested \| There is no test-report\.json/],
    [
      'not by the report of another disk',
      { ...record, raw: { sha256: 'f'.repeat(64) } },
      /^wrong: Not tested \| .* is about another disk/,
    ],
    ['not by that of another version', { ...record, version: '1-1' }, /^wrong: Not tested/],
    ['not by a red one', { ...record, passed: false }, /^wrong: Failed: 0 of 3/],
    [
      'not by one that says it is green and is not',
      { ...record, checks: record.checks.map((one) => ({ ...one, status: 'failed' as const })) },
      /^wrong: Failed: 3 of 3 checks/,
    ],
    ['not by one that checked nothing', { ...record, checks: [] }, /^wrong: Nothing was checked/],
    ['not quite by one of no disk', { ...record, raw: { sha256: null } }, /^open: Passed: .* of which disk/],
  ])('%s', (_, other, expected) => {
    expect(answer('Proven', withRecord(other))).toMatch(expected)
  })

  it('and shows no checks of another disk', () => {
    const page = pageOf(withRecord({ ...record, raw: { sha256: 'f'.repeat(64) } }))
    expect(page.proof.groups).toEqual([])
    expect(page.boot).toBeUndefined()
  })
})

describe('whether it is signed', () => {
  const signature = (result: 'right' | 'wrong' | 'not checked', found: string) =>
    someFacts({ findings: [{ what: 'signature', result, found }, ...findings.slice(1)] })

  it('by whom, when that was looked at', () => {
    expect(answer('Signed', someFacts())).toMatch(/^right: Signed by release@acme\.example/)
  })

  it('not when there is no signature, whatever was found', () => {
    expect(answer('Signed', someFacts({ hasSignature: false }))).toMatch(/^missing: Not signed/)
  })

  it('nobody knows when there was no list of signers', () => {
    expect(answer('Signed', signature('not checked', 'not asked for'))).toMatch(
      /^missing: Signature not checked/,
    )
  })

  it('wrongly, when it is nobody’s', () => {
    expect(answer('Signed', signature('wrong', 'SHA256SUMS is signed by nobody'))).toBe(
      'wrong: Wrong signature | SHA256SUMS is signed by nobody.',
    )
  })
})

describe('whether its files are right', () => {
  const damaged = rightFindings(finished).map((one) =>
    one.what.endsWith('.qcow2') ? { ...one, result: 'wrong' as const, found: 'its sha256 is another' } : one,
  )

  it('says how many findings were right, the signature apart', () => {
    expect(answer('Intact', someFacts())).toMatch(/^right: All in order \| 3 findings/)
  })

  it('names what is wrong, and calls the disk wrong in the chain', () => {
    const facts = someFacts({ findings: damaged })
    expect(answer('Intact', facts)).toBe(
      'wrong: Not to be used | haproxy-3.0.12-1.qcow2: its sha256 is another.',
    )
    expect(pageOf(facts).trust.chain.find(({ name }) => name === 'Disk')).toMatchObject({
      mark: 'wrong',
      text: expect.stringContaining('was not found to be the file'),
    })
  })

  it('calls nothing right in the chain that was not looked at', () => {
    const chain = pageOf(someFacts({ findings: [], hasSignature: false })).trust.chain
    expect(chain.map(({ name, mark }) => [name, mark])).toEqual([
      ['Source', 'open'],
      ['Lock', 'open'],
      ['Builder', 'open'],
      ['Disk', 'open'],
      ['Proof', 'right'],
      ['Signature', 'missing'],
    ])
  })

  it('says of a checkout with changes that no commit has them', () => {
    const manifest = { ...finished.manifest, source: { commit: '1'.repeat(40), dirty: true } }
    const [source] = pageOf(someFacts({ finished: { ...finished, manifest } })).trust.chain
    expect(source).toMatchObject({
      mark: 'wrong',
      text: expect.stringContaining('changes that no commit has'),
    })
  })
})

describe('what changed', () => {
  it('in a sentence', () => {
    expect(answer('Changed', someFacts())).toBe(
      'differs: Packages: 1 changed, 1 new, 1 gone | Since the promoted version 3.0.11-1; 27 files differ; /usr has the same size.',
    )
  })

  it('nothing, when the disk is the same', () => {
    const difference = differenceOf(finished, finished)
    const comparison = { difference, changelogs: [], promoted: false }
    expect(answer('Changed', someFacts({ comparison }))).toMatch(
      /^right: Nothing \| .*version 3\.0\.12-1, bit/,
    )
  })

  it('is not known without a comparison', () => {
    expect(answer('Changed', someFacts({ comparison: undefined }))).toMatch(/^open: Not compared/)
  })

  it('is bad when a check does not pass any more', () => {
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

  it('names only so many files, and how many there are', () => {
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
  it('has stages one after the other, units from where the kernel began, and the marker', () => {
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

  it('of an old report has the marker alone, and of a boot that never ended nothing', () => {
    expect(bootOf(someRecord({ boot: { readyMs: 9000 } }))?.spans).toHaveLength(1)
    expect(bootOf(someRecord({ boot: { readyMs: null } }))).toBeUndefined()
  })
})

describe('sizes', () => {
  const file = (path: string, size: number, owner: string | null = 'package:a') =>
    ({ path, type: 'file', mode: '0644', ids: '0:0', size, sha256: '0'.repeat(64), owner }) as const

  it('are packed by folder, with owner and change, without what has no content', () => {
    const difference = {
      ...{ added: ['/usr/b/new'], removed: [], folders: [] },
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

  it('name the large folders, three deep', () => {
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
  it('have what the bill of materials, the files and the comparison say of them', () => {
    const packages = pageOf(someFacts()).packages
    expect(packages.find(({ name }) => name === 'haproxy')).toMatchObject({
      ...{ version: '3.0.12-1', source: 'haproxy', licence: 'GPL-2.0-or-later', files: 12 },
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

it('the documents are linked where the page lies beside them', () => {
  const urls = (beside: boolean) => pageOf(someFacts({ beside })).documents.map(({ url }) => url)
  expect(urls(true)).toContain('haproxy-3.0.12-1.spdx.json')
  expect(urls(false).every((url) => url === undefined)).toBe(true)
  expect(pageName(someManifest())).toBe('haproxy-3.0.11-1.report.html')
})
