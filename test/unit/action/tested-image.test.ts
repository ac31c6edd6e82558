import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createStepProgress } from '../../../src/action/progress.ts'
import { commentEntrySchema } from '../../../src/action/pull-comment.ts'
import type { Step } from '../../../src/action/step.ts'
import { reportImage } from '../../../src/action/steps/test.ts'
import type { FinishedTest } from '../../../src/boot-test/test-process.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { seedImage } from '../../support/release/seed.ts'
import { makeTestedBuild, reportOf, tamper } from '../../support/release/tested-build.ts'
import { checkout } from '../../support/seeder.ts'

/** The results of a finished boot test: artifacts, the entry for the comment, the comparison. The images are small. */
let github: LocalGitHub
let root: string
let warnings: string[]
beforeEach(async () => {
  github = await LocalGitHub.start()
  root = await mkdtemp(join(tmpdir(), 'seeder tested '))
  warnings = []
  for (const [name, value] of Object.entries(github.runtimeEnv())) vi.stubEnv(name, value)
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  await rm(root, { recursive: true })
  await github.stop()
})

function step(token = github.token()): Step {
  return {
    env: {
      ...github.runtimeEnv(),
      GITHUB_TOKEN: token,
      GITHUB_API_URL: github.apiUrl,
      GITHUB_REPOSITORY: github.repository,
      GITHUB_RUN_ID: '42',
      RUNNER_TEMP: root,
    },
    context: {
      project: () => root,
      cache: root,
      checkout,
      version: '0',
      progress: () => createStepProgress(() => {}),
    },
    warn: (text) => warnings.push(text),
  }
}

const commit = '1'.repeat(40)

async function tested(
  version: string,
  passed = true,
  evidence = false,
): Promise<{ folder: string; test: FinishedTest }> {
  const folder = join(root, version)
  const { manifest } = await makeTestedBuild(folder, commit, { image: 'haproxy', version, evidence })
  const report = reportOf(manifest)
  const checks = passed
    ? report.checks
    : report.checks.map((check) => ({ ...check, status: 'failed', detail: 'no' }))
  const test = { report: { ...report, passed, checks }, reportFile: join(folder, 'test-report.json') }
  return { folder, test: { ...test, logs: undefined } as FinishedTest }
}

it('uploads the image, its small files, and the entry for the comment, compared with the promoted version', async () => {
  const promoted = await makeTestedBuild(join(root, 'promoted'), commit, {
    image: 'haproxy',
    version: '3.0.11-1',
  })
  await seedImage(github, promoted)
  const { folder, test } = await tested('3.0.12-1')
  const { outputs, summary, failures } = await reportImage(folder, test, { artifact: true }, step())

  const artifacts = github.artifacts()
  expect(artifacts.map(({ name }) => name).sort()).toEqual([
    'comment-haproxy',
    'haproxy-3.0.12-1',
    'haproxy-3.0.12-1.qcow2',
    'haproxy-3.0.12-1.report.html',
  ])
  const image = artifacts.find(({ name }) => name.endsWith('.qcow2'))
  expect(outputs).toMatchObject({ version: '3.0.12-1', passed: true, 'artifact-id': image?.id })
  expect(failures).toEqual([])
  expect(summary).toContain('### Changes')
  const entry = commentEntrySchema.parse(
    JSON.parse(await readFile(join(root, 'comment-haproxy.json'), 'utf8')),
  )
  expect(entry.promoted?.manifest.version).toBe('3.0.11-1')
  expect(entry.promoted?.record?.passed).toBe(true)
  expect(entry.artifact).toBe(
    `https://github.com/${github.repository}/actions/runs/42/artifacts/${image?.id}`,
  )
  const page = artifacts.find(({ name }) => name.endsWith('.html'))
  expect(entry.page).toMatch(new RegExp(`/artifacts/${page?.id}$`))
  const html = await readFile(join(folder, 'haproxy-3.0.12-1.report.html'), 'utf8')
  expect(html).toContain('Since the promoted version 3.0.11-1')
  expect(warnings).toEqual([])
})

it('uploads the results and the consoles of an image that failed, but not the image', async () => {
  const { folder, test } = await tested('3.0.12-1', false)
  const logs = join(folder, 'test-report.logs')
  await mkdir(logs)
  await writeFile(join(logs, 'lb1-console.log'), 'panic\n')
  const { outputs, failures } = await reportImage(folder, { ...test, logs }, { artifact: true }, step())
  expect(
    github
      .artifacts()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(['comment-haproxy', 'haproxy-3.0.12-1', 'haproxy-3.0.12-1.report.html'])
  expect(outputs).toMatchObject({ passed: false })
  expect(outputs).not.toHaveProperty('artifact-id')
  expect(failures?.at(-1)).toBe('haproxy 3.0.12-1: 2 of 2 checks failed')
})

it('warns when the token cannot read releases, and goes on without a comparison', async () => {
  const { folder, test } = await tested('3.0.12-1')
  const { outputs } = await reportImage(folder, test, {}, step('ghs_expired'))
  expect(outputs).toMatchObject({ passed: true })
  expect(warnings).toEqual([
    expect.stringContaining('there is no comparison with the promoted version: could not'),
  ])
  expect(github.artifacts()).toEqual([])
  expect(await readFile(join(folder, 'haproxy-3.0.12-1.report.html'), 'utf8')).toContain('Not compared')
})

it('refuses an image that changed since its test', async () => {
  const { folder, test } = await tested('3.0.12-1')
  await tamper(join(folder, 'haproxy-3.0.12-1.qcow2'))
  await expect(reportImage(folder, test, {}, step())).rejects.toThrow('haproxy-3.0.12-1.qcow2 in')
})

describe('known vulnerabilities', () => {
  const feed = (suite: string) => ({
    haproxy: {
      'CVE-2026-1': { releases: { [suite]: { status: 'resolved', fixed_version: '9:1', urgency: 'high' } } },
      'CVE-2026-2': { releases: { [suite]: { status: 'resolved', fixed_version: '0:0.1' } } },
    },
  })
  async function write(name: string, content: unknown): Promise<string> {
    await writeFile(join(root, name), JSON.stringify(content))
    return join(root, name)
  }
  const entry = async () =>
    commentEntrySchema.parse(JSON.parse(await readFile(join(root, 'comment-haproxy.json'), 'utf8')))

  it('are in the summary and in the entry for the comment, compared with the promoted version', async () => {
    const promoted = await makeTestedBuild(join(root, 'promoted'), commit, {
      image: 'haproxy',
      version: '3.0.11-1',
      evidence: true,
    })
    await seedImage(github, promoted)
    const { folder, test } = await tested('3.0.12-1', true, true)
    const feeds = [await write('debian.json', feed('sid')), await write('more.json', feed('trixie'))]
    const kev = await write('kev.json', { vulnerabilities: [{ cveID: 'CVE-2026-1' }] })
    const inputs = { artifact: true, 'vulnerability-feed': feeds, 'known-exploited': kev }
    const { summary } = await reportImage(folder, test, inputs, step())
    expect(summary).toContain('1 known vulnerabilities, 1 fixed by a newer package, 1 known to be exploited')
    expect(summary).toMatch(/`more\.json \(Debian security tracker, 2 entries .*sha256 [0-9a-f]{64}`/)
    const { vulnerabilities } = await entry()
    expect(vulnerabilities).toMatchObject({
      isScanned: true,
      now: { counts: { total: 1, fixable: 1, exploited: 1, urgency: { high: 1 } } },
    })
    expect(warnings).toEqual([])
  })

  it('are reported as not scanned without a feed', async () => {
    const { folder, test } = await tested('3.0.12-1', true, true)
    const { summary } = await reportImage(folder, test, { artifact: true }, step())
    expect(summary).toContain('### Known vulnerabilities\n\nNot scanned: no feed.\n')
    expect((await entry()).vulnerabilities).toEqual({ isScanned: false, reason: 'no feed' })
    expect(warnings).toEqual([])
  })

  it('are not scanned with a feed of another release, which is a warning', async () => {
    const { folder, test } = await tested('3.0.12-1', true, true)
    const inputs = { 'vulnerability-feed': [await write('sid.json', feed('sid'))] }
    const { summary } = await reportImage(folder, test, inputs, step())
    expect(summary).toContain('Not scanned: sid.json has no entry about ')
    expect(warnings).toEqual([
      expect.stringContaining('vulnerabilities were not scanned: sid.json has no entry'),
    ])
  })
})
