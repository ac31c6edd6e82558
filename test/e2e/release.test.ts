import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Manifest, manifestSchema } from '../../src/build/manifest.ts'
import { pageName } from '../../src/page/page.ts'
import { sha256File } from '../../src/store/digest.ts'
import { LocalGitHub } from '../stand-ins/github/local-github.ts'
import { PveHost } from '../stand-ins/proxmox/host.ts'
import { type EndedStep, runStep } from '../support/action.ts'
import { copyProject, removeFolder, testFolder, usersCache } from '../support/builds.ts'
import { configsOf, inventory, tagged } from '../support/deploy/host.ts'
import { makeSigner } from '../support/deploy/image.ts'
import { evaluate, fill, type Value } from '../support/expression.ts'
import { onHost } from '../support/release/on-host.ts'
import { published } from '../support/schemas.ts'
import { checkout, seeder } from '../support/seeder.ts'
import { parseWorkflow, type WorkflowStep } from '../support/workflow/file.ts'

/**
 * From a checkout to a template, through a release: runs the workflow of the README step by step with the bundled action
 * and the environment of a runner. A real image is built, boots in its role, becomes an artifact, a release of the local
 * GitHub and a template of the stand-in host, of which a clone boots. A pull request that breaks the image fails in its
 * boot. The job that publishes has another machine than the job that builds: a checkout and a cache of its own, and the
 * artifacts of the run.
 */
const root = await testFolder('release')
const workspace = join(root, 'check out')
const out = join(workspace, 'out/haproxy')
const elsewhere = join(root, 'check out of the job that publishes')
let github: LocalGitHub
let host: PveHost
let key = ''
let commit = ''
let manifest: Manifest
let report: {
  checks: { status: string }[]
  balanced: { backend: string }[]
  boot: { units?: { name: string }[] }
}
let count = 0

beforeAll(async () => {
  await copyProject(workspace)
  const signer = await makeSigner(join(root, 'keys'))
  key = await readFile(signer.key, 'utf8')
  await writeFile(join(workspace, 'allowed_signers'), signer.allowed)
  github = await LocalGitHub.start({ immutable: true })
  github.seedPullRequest({ number: 7, files: ['images/haproxy/image.yaml'] })
  commit = await commitAll()
  await execa('git', ['clone', '--quiet', workspace, elsewhere])
  host = await PveHost.create(join(root, 'host'))
  await host.start()
  const conf = 'STORAGE=local-lvm\n'
  await host.run(['sh', '-euc', 'mkdir -p /etc/seeder; cat > /etc/seeder/deploy.conf'], { input: conf })
  await host.run(['sh', '-c', 'cat > /etc/seeder/allowed_signers'], { input: signer.allowed })
  // The step runs in the network of this machine, where the local GitHub is; deploy.sh needs the bridges of the host.
  const script = `#!/bin/sh\nexec nsenter --target=1 --net -- '${checkout}/scripts/deploy.sh' "$@"\n`
  // The folder is covered by a file system of the stand-in host, so that this machine does not change.
  const install =
    'mount -t tmpfs none /usr/local/lib; mkdir "$0"; cat > "$0/deploy.sh"; chmod 755 "$0/deploy.sh"'
  const installed = await host.run(['sh', '-euc', install, '/usr/local/lib/seeder'], { input: script })
  if (installed.code !== 0) throw new Error(installed.stderr)
})
afterAll(async () => {
  await host.remove()
  await github.stop()
  await removeFolder(root)
})

/** Commits the checkout, and adds the commit to the local GitHub. */
async function commitAll(): Promise<string> {
  const git = (...words: string[]) =>
    execa('git', ['-c', 'user.name=op', '-c', 'user.email=op@example.internal', ...words], { cwd: workspace })
  await git('init', '--quiet')
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'The site')
  const { stdout } = await git('rev-parse', 'HEAD')
  const parent = github.git.commits.get(github.seedCommit({ 'platform.yaml': 'x' }))
  if (!parent) throw new Error('the local GitHub has no commit')
  github.git.commits.set(stdout, { ...parent, sha: stdout })
  return stdout
}

/** The steps of the workflow in the README, each with the condition of its job. */
async function workflow(): Promise<(WorkflowStep & { job: string; when: string })[]> {
  const readme = await readFile(join(checkout, 'README.md'), 'utf8')
  const [, text = ''] = /^```yaml\n(on: .*?)^```$/ms.exec(readme) ?? []
  const { jobs } = parseWorkflow(text)
  return Object.entries(jobs).flatMap(([job, { if: own, needs, steps = [] }]) => {
    const when = own ?? jobs[String(needs)]?.if ?? 'false'
    return steps.map((step) => ({ ...step, job, when }))
  })
}

interface Event {
  readonly name: string
  readonly ref: string
  readonly payload: { readonly [key: string]: Value }
}

/** Runs the steps of the workflow for an event that have this command; returns the result of the last one. */
async function run(event: Event, command: string, code = 0): Promise<EndedStep> {
  const contexts: { readonly [key: string]: Value } = {
    github: {
      event_name: event.name,
      ref: event.ref,
      repository: github.repository,
      event: event.payload,
      ref_type: event.ref.startsWith('refs/tags/') ? 'tag' : 'branch',
    },
    secrets: { SEEDER_SIGNING_KEY: key },
  }
  let last: EndedStep | undefined
  for (const { uses = '', job, when, with: given = {} } of await workflow()) {
    const commands = String(given.command).split(' ')
    if (!uses.startsWith('OWNER/seeder@') || !commands.includes(command)) continue
    if (evaluate(when, contexts) !== true) continue
    const filled = Object.entries(given).map(([name, value]) => [name, fill(String(value), contexts)])
    last = await step(event, Object.fromEntries(filled), job, code)
  }
  if (last === undefined) throw new Error(`the workflow has no step with ${command} for ${event.name}`)
  return last
}

/** Runs the bundled action, which has to end with this exit status. */
async function step(
  { name, ref, payload }: Event,
  given: Record<string, string>,
  job = 'build',
  code = 0,
): Promise<EndedStep> {
  const temp = join(root, `temp of ${job}`)
  await mkdir(temp, { recursive: true })
  const [kind = '', pushed = ''] = /^refs\/(\w+)s\/(.*)$/.exec(ref)?.slice(1) ?? []
  const builds = job === 'build'
  const ended = await runStep({
    with: given,
    folder: join(root, `step-${count++}`),
    script: join(checkout, 'dist/action/index.js'),
    // The runner is on the host.
    prefix: given.command?.includes('deploy') ? await onHost(host) : [],
    event: { name, payload },
    env: {
      XDG_CACHE_HOME: builds ? usersCache : join(root, `cache of ${job}`),
      RUNNER_TEMP: temp,
      GITHUB_REF_TYPE: kind === 'tag' ? 'tag' : 'branch',
      GITHUB_REF_NAME: pushed,
    },
    workspace: builds ? workspace : elsewhere,
    github,
  })
  expect(ended.code, `${given.command}: ${ended.stdout}\n${ended.stderr}`).toBe(code)
  return ended
}

const pullRequest = (): Event => ({
  name: 'pull_request',
  ref: 'refs/pull/7/merge',
  payload: {
    pull_request: {
      number: 7,
      base: { sha: github.git.head() },
      head: { sha: commit, repo: { full_name: github.repository } },
    },
  },
})
const merge = (): Event => ({
  name: 'push',
  ref: 'refs/heads/main',
  payload: { before: github.git.head(), after: commit },
})
const tag = () => `haproxy-${manifest.version}`
const push = (): Event => ({ name: 'push', ref: `refs/tags/promote/${tag()}`, payload: {} })
const comments = () => github.git.comments.filter(({ issue }) => issue === 7)

describe('a pull request that breaks the image', () => {
  const part = join(workspace, 'images/haproxy/tree/etc/haproxy/haproxy.cfg')
  let whole = ''

  it('fails in its boot, and one comment has the reason', async () => {
    whole = await readFile(part, 'utf8')
    await appendFile(part, '\nbackend of-nobody\n  mode nothing\n')
    commit = await commitAll()
    const { outputs, stdout } = await run(pullRequest(), 'test', 1)
    expect(outputs).toMatchObject({ passed: 'false' })
    // HAProxy's own message, from the console of the clone.
    expect(stdout).toMatch(/::error::boots: .*does not accept its configuration: \[ALERT\].*'nothing'/)
    expect(comments()).toHaveLength(1)
    expect(comments()[0]?.body).toContain('failed')
  })

  it('has one comment, also after the second run', async () => {
    await step(pullRequest(), { command: 'comment', directory: join(root, 'temp of build') })
    expect(comments()).toHaveLength(1)
  })

  afterAll(async () => {
    await writeFile(part, whole)
    commit = await commitAll()
    await execa('git', ['pull', '--quiet'], { cwd: elsewhere })
  })
})

const reached = ({ summary }: EndedStep) =>
  summary
    .split('\n')
    .flatMap((line) => /^.*:::done/.exec(line.includes('candidate["candidate"]') ? line : '')?.[0] ?? [])
    .map((line) => line.split(' --> ').length)

describe('what is merged', () => {
  it('is built and passes its whole contract, which does not change the image', async () => {
    const tested = await run(merge(), 'test')
    const { manifest: file = '' } = tested.outputs
    manifest = manifestSchema.parse(JSON.parse(await readFile(file, 'utf8')))
    report = await published('test-report', JSON.parse(await readFile(join(out, 'test-report.json'), 'utf8')))
    expect(report.checks.filter(({ status }) => status !== 'passed')).toEqual([])
    expect(report).toMatchObject({ image: 'haproxy', version: manifest.version, passed: true })
    expect(report).toMatchObject({ raw: { sha256: manifest.raw.sha256 } })
    expect(new Set(report.balanced.map(({ backend }) => backend))).toEqual(new Set(['w1', 'w2', 'w3']))
    expect(manifest.source).toEqual({ commit, dirty: false })
    expect(report.boot.units?.map(({ name }) => name)).toContain('seeder-first-boot.service')
    const page = await readFile(join(out, pageName(manifest)), 'utf8')
    expect(page).toContain(`Passed: ${report.checks.length} of ${report.checks.length} checks`)
    // The console logs are kept only when something failed.
    expect((await readdir(out)).filter((name) => name.endsWith('.logs'))).toEqual([])
    expect(tested.outputs).toMatchObject({ version: manifest.version, digest: manifest.raw.sha256 })
    expect(tested.outputs).toMatchObject({ passed: 'true' })
    expect(tested.summary.match(/^```mermaid$/gm)).toHaveLength(2)
    expect(tested.summary).toContain(manifest.raw.sha256)
    expect(tested.summary).toContain(`${report.checks.length} passed`)
  })

  it('leaves the image as an artifact', async () => {
    const image = github.artifacts().find(({ name }) => name === manifest.qcow2.file)
    expect(image).toMatchObject({ size: manifest.qcow2.size, sha256: manifest.qcow2.sha256 })
    const names = github.artifacts().map(({ name }) => name)
    for (const name of [`haproxy-${manifest.version}`, manifest.qcow2.file, pageName(manifest)]) {
      expect(names).toContain(name)
    }
  })

  it('becomes a signed candidate on another machine than the build’s', async () => {
    const published = await run(merge(), 'publish')
    expect(reached(published)).toEqual([3])
    expect(published.outputs).toMatchObject({ version: manifest.version, changed: 'true' })
    expect(published.outputs.digest).toBe(manifest.raw.sha256)
    const [release, ...others] = github.releases()
    expect(others).toEqual([])
    expect(release).toMatchObject({ tag: tag(), draft: false, prerelease: true })
    expect(release?.assets.map(({ name }) => name).sort()).toEqual(
      [
        ...(await readdir(out)).filter((name) => name !== pageName(manifest)),
        'SHA256SUMS.sig',
        'release.json',
        `${tag()}.bundle.tar`,
      ].sort(),
    )
    // The runner does not show the lines that mask a secret.
    const shown = published.stdout.replace(/^::add-mask::.*$/gm, '')
    expect(shown).not.toContain(key.split('\n')[1])
  })
  it('has everything that is needed to build its image again', async () => {
    const env = {
      GITHUB_TOKEN: github.token(),
      GITHUB_REPOSITORY: github.repository,
      GITHUB_API_URL: github.apiUrl,
    }
    const [whole, own] = ['of the release', 'of the build'].map((name) => join(root, `${name}.tar`))
    const there = { ...env, XDG_CACHE_HOME: join(root, 'another cache') }
    const project = ['-C', workspace, 'bundle']
    expect(await seeder([...project, tag(), '--out', whole ?? ''], { env: there })).toMatchObject({
      code: 0,
    })
    expect(await seeder([...project, out, '--out', own ?? ''])).toMatchObject({ code: 0 })
    expect(await sha256File(whole ?? '')).toBe(await sha256File(own ?? ''))
  })
})

describe('a pushed tag', () => {
  it('promotes the version, and deploys a template of which a clone boots', async () => {
    const promoted = await run(push(), 'promote')
    expect(reached(promoted)).toEqual([4])
    expect(github.releases()).toMatchObject([{ tag: tag(), draft: false, prerelease: false }])
    const deployed = await run(push(), 'deploy')
    expect(reached(deployed)).toEqual([5])
    expect(deployed.outputs).toMatchObject({ version: manifest.version, 'template-vmid': '9000' })
    expect(deployed.stdout).toMatch(/ready after \d+ s/)
    expect([...(await configsOf(host)).keys()]).toEqual([9000])
    expect(await tagged(host, 'current')).toEqual([9000])
    expect(await inventory(host)).toContain(`RAW_SHA256=${manifest.raw.sha256}`)
  })

  it('changes nothing when the workflow is run again', async () => {
    const before = await inventory(host)
    const sent = github.requests.filter(({ on }) => on === 'upload').length
    const again = [await run(merge(), 'publish'), await run(push(), 'promote'), await run(push(), 'deploy')]
    expect(again.map(({ outputs }) => outputs.changed)).toEqual(['false', 'false', 'false'])
    const summary = again.map(({ summary: text }) => text).join('\n')
    for (const text of ['Already published', 'Already promoted', 'Already deployed']) {
      expect(summary).toContain(text)
    }
    expect(github.requests.filter(({ on }) => on === 'upload')).toHaveLength(sent)
    expect(await inventory(host)).toBe(before)
  })
})
