import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addTallies, closingLine, detailsOf, FAILED, PASSED, tallyVitest } from '../../../scripts/tally.ts'

const CHECKOUT = path.resolve(import.meta.dirname, '../../..')

describe('tallyVitest, on reports that a real vitest wrote', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'seeder-tally-'))
    await symlink(path.join(CHECKOUT, 'node_modules'), path.join(folder, 'node_modules'))
    await writeFile(path.join(folder, 'package.json'), '{"type":"module"}')
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** Runs vitest over files made of these bodies, and counts its report. */
  async function tally(name: string, files: readonly string[]) {
    const { text, exitCode } = await run(name, files)
    return tallyVitest(text, exitCode)
  }

  async function run(name: string, files: readonly string[]) {
    const root = path.join(folder, name)
    await mkdir(root, { recursive: true })
    for (const [index, body] of files.entries()) {
      await writeFile(
        path.join(root, `${index}.test.ts`),
        `import { beforeAll, describe, expect, it } from 'vitest'\n${body}`,
      )
    }
    const report = path.join(root, 'report.json')
    const { exitCode } = await execa(
      process.execPath,
      [
        path.join(CHECKOUT, 'node_modules/vitest/vitest.mjs'),
        'run',
        '--root',
        root,
        '--reporter=json',
        `--outputFile=${report}`,
      ],
      { cwd: root, reject: false, env: { VITEST: undefined, NODE_ENV: undefined }, stdin: 'ignore' },
    )
    return { text: await readFile(report, 'utf8').catch(() => undefined), exitCode: exitCode ?? 1 }
  }

  it('counts passed, failed and skipped tests', async () => {
    const counted = await tally('mixed', [
      `it('a', () => {}); it('b', () => {}); it('c', () => expect(1).toBe(2)); it.skip('d', () => {}); it.todo('e')`,
    ])
    expect(counted).toEqual({ passed: 2, failed: 1, skipped: 2 })
  })

  it('counts a file that cannot be imported, and one whose hook throws, as a failure each', async () => {
    const counted = await tally('broken', [
      `import './missing.ts'; it('never', () => {})`,
      `beforeAll(() => { throw new Error('no') }); it('not run', () => {})`,
      `it('fine', () => {})`,
    ])
    expect(counted).toMatchObject({ passed: 1, failed: 2 })
  })

  it('counts an error outside of any test as a failure', async () => {
    const counted = await tally('stray', [
      `it('fine', async () => { setTimeout(() => { throw new Error('stray') }, 1); await new Promise((r) => setTimeout(r, 50)) })`,
    ])
    expect(counted).toEqual({ passed: 1, failed: 1, skipped: 0 })
  })

  it('names what failed, with the first line of why, and says how long each test took', async () => {
    const { text } = await run('named', [
      `describe('of', () => it('a', () => expect(1).toBe(2))); it('b', () => new Promise((r) => setTimeout(r, 60)))`,
      `import './missing.ts'; it('never', () => {})`,
    ])
    const { failures, times } = detailsOf(text, path.join(folder, 'named'))
    expect([...failures].sort()).toEqual([
      '0.test.ts: of a: AssertionError: expected 1 to be 2 // Object.is equality',
      expect.stringMatching(/^1\.test\.ts: .*missing\.ts/),
    ])
    expect(times.map(({ test }) => test)).toEqual(['0.test.ts: of a', '0.test.ts: b'])
    expect(times[1]?.ms).toBeGreaterThanOrEqual(55)
  })

  it('counts a run with no test as a failure', async () => {
    expect(await tally('empty', [])).toEqual(FAILED)
  })
})

describe('tallyVitest without a usable report', () => {
  it.each([
    ['none', undefined],
    ['a cut one', '{"testResults": ['],
    ['another shape', '{}'],
  ])('counts %s as a failure, whatever the exit status', (_, report) => {
    expect(tallyVitest(report, 0)).toEqual(FAILED)
    expect(detailsOf(report, '/')).toEqual({ failures: [], times: [] })
  })
})

describe('closingLine', () => {
  it('adds up steps, and names skipped tests only when there are any', () => {
    expect(closingLine(addTallies([PASSED, FAILED, PASSED]))).toBe('2 passed, 1 failed')
    expect(closingLine(addTallies([PASSED, { passed: 40, failed: 0, skipped: 3 }]))).toBe(
      '41 passed, 0 failed, 3 skipped',
    )
    expect(closingLine(addTallies([]))).toBe('0 passed, 0 failed')
  })
})
