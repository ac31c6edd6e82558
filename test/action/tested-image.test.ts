import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createStepProgress } from '../../src/action/progress.ts'
import { commentEntrySchema } from '../../src/action/pull-comment.ts'
import type { Step } from '../../src/action/step.ts'
import { tellOfImage } from '../../src/action/steps/test.ts'
import type { Proof } from '../../src/boot/proof-process.ts'
import { LocalGitHub } from '../support/github/local-github.ts'
import { seedImage } from '../support/release/seed.ts'
import { makeTestedBuild, reportOf, tamper } from '../support/release/tested-build.ts'

/** What a step makes of a finished proof: artifacts, the comment's part, the comparison. The images are small ones. */
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
      ...{ GITHUB_TOKEN: token, GITHUB_API_URL: github.apiUrl, GITHUB_REPOSITORY: github.repository },
      ...{ GITHUB_RUN_ID: '42', RUNNER_TEMP: root },
    },
    context: {
      ...{ project: () => root, cache: root, checkout: root },
      progress: () => createStepProgress(() => {}),
    },
    warn: (text) => warnings.push(text),
  }
}

const commit = '1'.repeat(40)

async function tested(version: string, passed = true): Promise<{ folder: string; proof: Proof }> {
  const folder = join(root, version)
  const { manifest } = await makeTestedBuild(folder, commit, { image: 'haproxy', version })
  const report = reportOf(manifest)
  const checks = passed
    ? report.checks
    : report.checks.map((check) => ({ ...check, status: 'failed', detail: 'no' }))
  const proof = { report: { ...report, passed, checks }, reportFile: join(folder, 'test-report.json') }
  return { folder, proof: { ...proof, logs: undefined } as Proof }
}

it('uploads the image, its small files, and what the comment needs, beside the promoted version', async () => {
  const promoted = await makeTestedBuild(join(root, 'promoted'), commit, {
    image: 'haproxy',
    version: '3.0.11-1',
  })
  await seedImage(github, promoted)
  const { folder, proof } = await tested('3.0.12-1')
  const { outputs, summary, failures } = await tellOfImage(folder, proof, { artifact: true }, step())

  const artifacts = github.artifacts()
  expect(artifacts.map(({ name }) => name).sort()).toEqual([
    'comment-haproxy',
    'haproxy-3.0.12-1',
    'haproxy-3.0.12-1.qcow2',
  ])
  const image = artifacts.find(({ name }) => name.endsWith('.qcow2'))
  expect(outputs).toMatchObject({ version: '3.0.12-1', passed: true, 'artifact-id': image?.id })
  expect(failures).toEqual([])
  expect(summary).toContain('### What is different')
  const entry = commentEntrySchema.parse(
    JSON.parse(await readFile(join(root, 'comment-haproxy.json'), 'utf8')),
  )
  expect(entry.promoted?.manifest.version).toBe('3.0.11-1')
  expect(entry.promoted?.record?.passed).toBe(true)
  expect(entry.artifact).toBe(
    `https://github.com/${github.repository}/actions/runs/42/artifacts/${image?.id}`,
  )
  expect(warnings).toEqual([])
})

it('does not upload an image that failed, but what was found, with the consoles', async () => {
  const { folder, proof } = await tested('3.0.12-1', false)
  const logs = join(folder, 'test-report.logs')
  await mkdir(logs)
  await writeFile(join(logs, 'lb1-console.log'), 'panic\n')
  const { outputs, failures } = await tellOfImage(folder, { ...proof, logs }, { artifact: true }, step())
  expect(
    github
      .artifacts()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(['comment-haproxy', 'haproxy-3.0.12-1'])
  expect(outputs).toMatchObject({ passed: false })
  expect(outputs).not.toHaveProperty('artifact-id')
  expect(failures?.at(-1)).toBe('haproxy 3.0.12-1: 2 of 2 checks failed')
})

it('is as good without a comparison: a token that cannot read releases is a warning', async () => {
  const { folder, proof } = await tested('3.0.12-1')
  const { outputs } = await tellOfImage(folder, proof, {}, step('ghs_expired'))
  expect(outputs).toMatchObject({ passed: true })
  expect(warnings).toEqual([
    expect.stringContaining('there is no comparison with the promoted version: could not'),
  ])
  expect(github.artifacts()).toEqual([])
})

it('refuses an image that is another one than was tested', async () => {
  const { folder, proof } = await tested('3.0.12-1')
  await tamper(join(folder, 'haproxy-3.0.12-1.qcow2'))
  await expect(tellOfImage(folder, proof, {}, step())).rejects.toThrow('haproxy-3.0.12-1.qcow2 in')
})
