import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { confirmers } from '../../../src/release/promote/confirmation.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { makeSigner, type Signer, type SmallImage, sign } from '../../support/deploy/image.ts'
import { seedBuild } from '../../support/release/seeded.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'
import { checkout } from '../../support/seeder.ts'
import { readWorkflow } from '../../support/workflow/file.ts'
import { type EndedJob, runJob } from '../../support/workflow/run-job.ts'
import { honestProgram, hostilePrograms, Site } from '../../support/workflow/site.ts'

/**
 * The jobs of confirm.yml with a real git, whose tags bring programs of their own, and the local GitHub. Of the build there is
 * a stand-in, which says the digests that lie in the project that it is given; test/light/confirm.test.ts has a real one.
 */
const tag = 'haproxy-3.0.11-1'
const workflow = await readWorkflow('confirm.yml')
let root: string
let second: Signer
let site: Site
let github: LocalGitHub
let build: SmallImage
let key = ''
let machines = 0
const leak = () => join(root, 'leak')

const ACTION = '.github/actions/seeder/action.yml'

/** Says the digests of the project that it is to build, as `command: build` would. */
const STAND_IN = `import { appendFileSync, readFileSync } from 'node:fs'
const { env } = process
if (env.INPUT_COMMAND === 'build') {
  const said = JSON.parse(readFileSync(\`\${env.GITHUB_WORKSPACE}/\${env.INPUT_PROJECT}/built.json\`))
  for (const [name, value] of Object.entries(said)) appendFileSync(env.GITHUB_OUTPUT, \`\${name}<<END\\n\${value}\\nEND\\n\`)
  process.exit()
}`

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder confirm flow '))
  second = await makeSigner(join(root, 'keys'), 'second@example.internal')
  key = await readFile(second.key, 'utf8')
  await writeFile(join(root, 'allowed'), second.allowed.replace('"seeder"', '"seeder-rebuild"'))
  // A container has apt-get; this machine stays as it is.
  await mkdir(join(root, 'path'))
  await writeFile(join(root, 'path/apt-get'), '#!/bin/sh\n', { mode: 0o755 })
  build = await makeTestedBuild(join(root, 'build'), null, { evidence: true })
  await sign(build.folder, await makeSigner(join(root, 'keys'), 'release@example.internal'))
})
afterAll(() => rm(root, { recursive: true }))

beforeEach(async () => {
  github = await LocalGitHub.start({ immutable: true })
  await seedBuild(github, build)
  site = await Site.make(join(root, `site-${machines}`))
  await site.commit('The first', { 'platform.yaml': 'x\n' })
})
afterEach(async () => {
  await github.stop()
  await rm(leak(), { force: true })
})

const built = (disk = build.manifest.raw.sha256) => ({
  'built.json': JSON.stringify({ digest: disk, 'lock-digest': build.manifest.lock.sha256 }),
})

/** What the branch has now: an honest program, and a build that is another one than that of the tag. */
async function honest(): Promise<string> {
  return site.commit('An honest program', {
    ...hostilePrograms('/dev/null'),
    [ACTION]: await readFile(join(checkout, ACTION), 'utf8'),
    'scripts/setup.sh': '#!/bin/sh\n',
    'dist/action/index.js': honestProgram(STAND_IN),
    ...built('0'.repeat(64)),
  })
}

/** A commit whose tree has programs of its own by every name that a workflow might start, and the right build. */
const hostile = async () =>
  site.commit('A hostile program', {
    ...hostilePrograms(leak()),
    [ACTION]: await readFile(join(checkout, ACTION), 'utf8'),
    ...built(),
  })

/** Runs the jobs one after the other. `between` is what happens on GitHub before a job begins. */
async function run(
  between: Readonly<
    Record<string, (needs: Record<string, { outputs: Record<string, string> }>) => unknown>
  > = {},
): Promise<{ ended: Record<string, EndedJob>; leaked: string }> {
  const ended: Record<string, EndedJob> = {}
  const needs: Record<string, { outputs: Record<string, string> }> = {}
  for (const [name, job] of Object.entries(workflow.jobs)) {
    await between[name]?.(needs)
    const hasKey = JSON.stringify(job).includes('secrets.')
    ended[name] = await runJob({
      workflow,
      job: name,
      folder: join(root, `machine-${machines++}`),
      path: join(root, 'path'),
      remote: site.folder,
      sha: await site.git('rev-parse', 'main'),
      github,
      contexts: { inputs: { tag }, needs, secrets: hasKey ? { SEEDER_CONFIRMATION_KEY: key } : {} },
      env: { GITHUB_API_URL: github.apiUrl, GITHUB_REPOSITORY: github.repository },
    })
    needs[name] = { outputs: { ...ended[name].outputs } }
    if (!ended[name].succeeded) break
  }
  return { ended, leaked: await readFile(leak(), 'utf8').catch(() => '') }
}

const printed = ({ ended }: { ended: Record<string, EndedJob> }) =>
  Object.values(ended)
    .map((job) => job.printed)
    .join('\n')
const body = () => ({ body: github.releases()[0]?.body ?? '' })
const who = () => confirmers(body(), build.manifest, join(root, 'allowed'))
const secretLine = () => key.split('\n')[1] ?? ''

describe('a tag that brings programs of its own', () => {
  it('is built by the default branch’s, and confirmed; none of its own is started', async () => {
    await hostile()
    await site.git('tag', tag)
    await honest()
    const { ended, leaked } = await run()
    expect(leaked).toBe('')
    expect(Object.values(ended).every(({ succeeded }) => succeeded)).toBe(true)
    expect(printed({ ended }).replace(/^::add-mask::.*$/gm, '')).not.toContain(secretLine())
    expect(await who()).toEqual([second.name])
  })

  it('which the default branch never was at is not built', async () => {
    await honest()
    await site.git('checkout', '--quiet', '-b', 'elsewhere')
    await hostile()
    await site.git('tag', '--annotate', '--message', 'x', tag)
    const { ended, leaked } = await run()
    expect(leaked).toBe('')
    expect(printed({ ended })).toContain('the default branch was never at it')
    expect([Object.keys(ended).length, await who()]).toEqual([1, []])
  })

  it('inside of a merged branch is not built either: it was never what was reviewed', async () => {
    await honest()
    await site.git('checkout', '--quiet', '-b', 'feature')
    await hostile()
    await site.git('tag', tag)
    await site.git('revert', '--no-edit', 'HEAD')
    await site.git('checkout', '--quiet', 'main')
    await site.git('merge', '--quiet', '--no-ff', '--message', 'Merge', 'feature')
    expect(await site.git('merge-base', '--is-ancestor', tag, 'main')).toBe('')
    const { ended, leaked } = await run()
    expect(leaked).toBe('')
    expect(printed({ ended })).toContain('the default branch was never at it')
    expect(await who()).toEqual([])
  })

  it('and is moved after it was looked at changes nothing: the commit that was looked at is built', async () => {
    await site.commit('The version', built())
    await site.git('tag', tag)
    await honest()
    const move = async () => {
      await site.git('checkout', '--quiet', '-b', 'moved')
      await hostile()
      await site.commit('Another build', built('f'.repeat(64)))
      await site.git('tag', '--force', tag)
    }
    const { ended, leaked } = await run({ build: move })
    expect(leaked).toBe('')
    expect(ended.build?.outputs.digest).toBe(build.manifest.raw.sha256)
    expect(await who()).toEqual([second.name])
  })

  it('has to be one of an image, and to be there', async () => {
    await honest()
    const missing = await run()
    expect(printed(missing)).toContain(`There is no tag ${tag}`)
    const start = {
      workflow,
      job: 'tag',
      remote: site.folder,
      sha: await site.git('rev-parse', 'main'),
      github,
    }
    for (const [index, name] of [
      'v1',
      '--help',
      'x-1-1 y',
      `a-1-1\nb`,
      '$(touch x)-1-1',
      '../a-1-1',
    ].entries()) {
      const folder = join(root, `odd-${index}`)
      const ended = await runJob({ ...start, folder, contexts: { inputs: { tag: name } } })
      expect([name, ended.succeeded, ended.printed.includes('not the tag of a release')]).toEqual([
        name,
        false,
        true,
      ])
    }
  })
})

describe('a job that builds and lies', () => {
  it.each<[string, Record<string, string>, string]>([
    ['another disk', { digest: 'f'.repeat(64) }, 'the second build has ffff'],
    ['another lock', { 'lock-digest': 'f'.repeat(64) }, 'was built from another lock'],
    ['no digest', { digest: 'x'.repeat(1 << 16) }, 'give a sha256, 64 hex digits'],
    ['a command', { digest: `${'f'.repeat(64)}"; env; "` }, 'give a sha256, 64 hex digits'],
    ['nothing', { digest: '' }, 'digest: missing'],
  ])('that %s came of it is refused, and nothing is signed', async (_what, outputs, message) => {
    await site.commit('The version', built())
    await site.git('tag', tag)
    await honest()
    const { ended } = await run({
      confirm: (needs) => Object.assign(needs.build?.outputs ?? {}, outputs),
    })
    expect(ended.confirm?.succeeded).toBe(false)
    expect(ended.confirm?.printed).toContain(message)
    expect(body()).toEqual({ body: 'Notes' })
  })
})
