import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { type EndedStep, runStep, type StepStart } from '../../support/action.ts'
import { makeTestedBuild, tamper } from '../../support/release/tested-build.ts'
import { checkout } from '../../support/seeder.ts'

/** The action as a process, with the environment of a runner. */
const root = await mkdtemp(join(tmpdir(), 'seeder action '))
const workspace = join(root, 'work space')
let github: LocalGitHub
let steps = 0

beforeAll(async () => {
  await mkdir(workspace)
  await cp(join(checkout, 'platform.yaml'), join(workspace, 'platform.yaml'))
  await cp(join(checkout, 'images'), join(workspace, 'images'), { recursive: true })
})
afterAll(() => rm(root, { recursive: true }))
beforeEach(async () => {
  github = await LocalGitHub.start()
})
afterEach(() => github.stop())

async function step(given: Record<string, string>, more: Partial<StepStart> = {}): Promise<EndedStep> {
  const folder = join(root, `step-${steps++}`)
  return runStep({ with: given, folder, workspace, github, ...more })
}

const commit = '1'.repeat(40)
const pullRequest = () => ({
  name: 'pull_request',
  payload: { pull_request: { number: 7, base: { sha: github.git.head() }, head: { sha: commit } } },
})

describe('an error is reported', () => {
  it('for an input', async () => {
    const { code, stdout, outputs } = await step({ command: 'deploy', image: 'etcd', matrix: '{}' })
    expect({ code, outputs }).toEqual({ code: 1, outputs: {} })
    expect(stdout).toContain(
      '::error::an input is wrong: matrix: is not for deploy but for comment; remove it%0A',
    )
    expect(github.requests).toEqual([])
  })

  it('for a definition, at its line', async () => {
    const file = join(workspace, 'images/haproxy/image.yaml')
    const text = await readFile(file, 'utf8')
    await writeFile(file, `${text}colour: red\n`)
    const { code, stdout, outputs } = await step({ command: 'build', image: 'haproxy' })
    await writeFile(file, text)
    expect({ code, outputs }).toEqual({ code: 1, outputs: {} })
    const line = text.split('\n').length
    expect(stdout).toMatch(
      new RegExp(`^::error file=images/haproxy/image\\.yaml,line=${line},col=1::colour: unknown key; `, 'm'),
    )
  })

  it('for a missing permission, with the lines to add', async () => {
    const closed = await LocalGitHub.start({ private: true })
    closed.seedPullRequest({ number: 7, files: [] })
    const token = closed.token({ contents: 'read' })
    const { code, stdout } = await step({ command: 'plan', token }, { event: pullRequest(), github: closed })
    await closed.stop()
    expect(code).toBe(1)
    expect(stdout).toContain(`::add-mask::${token}`)
    expect(stdout).toMatch(
      /::error::could not list the files of pull request 7 .*permissions:%0A +pull-requests: read/,
    )
  })
})

describe('plan', () => {
  it('of a pull request: the images whose files it changes', async () => {
    github.seedPullRequest({ number: 7, files: ['images/haproxy/tree/etc/motd', 'images/etcd/image.yaml'] })
    const { code, stdout, outputs } = await step({ command: 'plan' }, { event: pullRequest() })
    expect({ code, outputs }).toEqual({
      code: 0,
      outputs: { matrix: '{"include":[{"image":"haproxy"}]}', changed: 'true' },
    })
    expect(stdout).toContain('::warning::etcd has to be built but has no lock: run scripts/seeder lock etcd')
  })

  it('of a pull request that only formats a lock: no image', async () => {
    const path = 'images/haproxy/image.lock.json'
    const lock = JSON.parse(await readFile(join(workspace, path), 'utf8'))
    github.seedCommit({ [path]: JSON.stringify(lock) })
    github.seedPullRequest({ number: 7, files: [path] })
    const { outputs } = await step({ command: 'plan' }, { event: pullRequest() })
    expect(outputs).toEqual({ matrix: '{"include":[]}', changed: 'false' })
  })

  it('of a tag: its image, if the lock has that version', async () => {
    const { version } = JSON.parse(await readFile(join(workspace, 'images/haproxy/image.lock.json'), 'utf8'))
    const tagged = (tag: string) =>
      step(
        { command: 'plan' },
        {
          event: { name: 'push', payload: {} },
          env: { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: tag },
        },
      )
    expect((await tagged(`haproxy-${version}`)).outputs.matrix).toBe('{"include":[{"image":"haproxy"}]}')
    const { code, stdout } = await tagged('haproxy-1.0-1')
    expect(code).toBe(1)
    expect(stdout).toContain(
      `::error::the tag haproxy-1.0-1 names another version than the lock, haproxy ${version}`,
    )
  })
})

describe('a release', () => {
  it('is published, promoted and demoted; a second time changes nothing', async () => {
    const head = github.git.head()
    const { manifest } = await makeTestedBuild(join(workspace, 'out/haproxy'), head, { image: 'haproxy' })
    const tag = `haproxy-${manifest.version}`
    const publish = { command: 'publish', image: 'haproxy', unsigned: 'true' }

    const verified = await step({ command: 'verify', image: 'haproxy', 'allow-unsigned': 'true' })
    expect(verified).toMatchObject({ code: 0, outputs: { passed: 'true' } })

    const published = await step(publish)
    expect(published).toMatchObject({
      code: 0,
      outputs: {
        version: manifest.version,
        digest: manifest.raw.sha256,
        'release-url': `https://github.com/${github.repository}/releases/tag/${tag}`,
        changed: 'true',
      },
    })
    expect(published.summary).toContain('candidate["candidate"]:::done --> promoted["promoted"]:::open')
    expect(published.stdout).toMatch(/^::group::check the build$[\s\S]+?^::endgroup::$/m)
    expect(github.releases()).toMatchObject([{ tag, prerelease: true, draft: false }])
    expect(await step(publish)).toMatchObject({ code: 0, outputs: { changed: 'false' } })

    const promoted = await step({ command: 'promote', tag, 'allow-unsigned': 'true' })
    expect(promoted).toMatchObject({ code: 0, outputs: { version: manifest.version, changed: 'true' } })
    expect(github.releases()).toMatchObject([{ tag, prerelease: false }])

    const status = await step({ command: 'status' })
    expect(status.summary).toContain(`| haproxy | - | ${manifest.version} |`)

    const demoted = await step({ command: 'demote', tag })
    expect(demoted).toMatchObject({ code: 0, outputs: { version: '', changed: 'true' } })
    expect(github.releases()).toMatchObject([{ tag, prerelease: true }])
  })

  it('that is damaged is reported, and the step fails', async () => {
    const { manifest } = await makeTestedBuild(join(workspace, 'out/etcd'), commit, { image: 'etcd' })
    await tamper(join(workspace, 'out/etcd', manifest.qcow2.file))
    const { code, stdout, outputs } = await step({
      command: 'verify',
      image: 'etcd',
      'allow-unsigned': 'true',
    })
    expect({ code, outputs }).toEqual({ code: 1, outputs: { passed: 'false' } })
    expect(stdout).toMatch(/^::error::.*etcd/m)
  })

  it('is signed with a key that no log shows', async () => {
    const { code, stdout, stderr } = await step({
      command: 'publish',
      image: 'etcd',
      'signing-key': 'not a key\nof two lines',
    })
    expect(code).toBe(1)
    expect(stdout).toContain('::add-mask::not a key%0Aof two lines')
    expect(`${stdout.replace(/^::add-mask::.*$/gm, '')}${stderr}`).not.toContain('two lines')
  })
})

describe('several commands in a step', () => {
  const event = (tag: string) => ({
    event: { name: 'push', payload: {} },
    env: { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: tag },
  })

  it('run in order, and the outputs of the last one win', async () => {
    const head = github.git.head()
    const { manifest } = await makeTestedBuild(join(workspace, 'out/haproxy'), head, { image: 'haproxy' })
    const tag = `haproxy-${manifest.version}`
    const given = {
      command: 'verify publish promote status',
      image: 'haproxy',
      unsigned: 'true',
      'allow-unsigned': 'true',
    }
    const { code, stdout, outputs, summary } = await step(given, event(tag))
    expect(code, stdout).toBe(0)
    expect(outputs).toMatchObject({ passed: 'true', version: manifest.version, changed: 'true' })
    expect(github.releases()).toMatchObject([{ tag, prerelease: false, draft: false }])
    const parts = ['## Verified', 'candidate["candidate"]:::done --> promoted["promoted"]:::open']
    const places = [...parts, `The promoted version is ${tag}`, `| haproxy | - | ${manifest.version} |`].map(
      (part) => summary.indexOf(part),
    )
    expect(places).not.toContain(-1)
    expect(places).toEqual(places.toSorted((a, b) => a - b))
  })

  it('end with the first that fails or has failures', async () => {
    const { manifest } = await makeTestedBuild(join(workspace, 'out/etcd'), github.git.head(), {
      image: 'etcd',
    })
    await tamper(join(workspace, 'out/etcd', manifest.qcow2.file))
    const given = { image: 'etcd', unsigned: 'true', 'allow-unsigned': 'true' }
    const tag = `etcd-${manifest.version}`
    const wrong = await step({ ...given, command: 'verify publish promote' }, event(tag))
    expect(wrong).toMatchObject({ code: 1, outputs: { passed: 'false' } })
    const failed = await step({ ...given, command: 'publish promote' }, event(tag))
    expect(failed).toMatchObject({ code: 1, outputs: {} })
    expect(failed.stdout.match(/^::error/gm)).toHaveLength(1)
    expect(github.releases()).toEqual([])
  })

  it('report failures in the comment of a pull request', async () => {
    github.seedPullRequest({ number: 7, files: [] })
    const { manifest } = await makeTestedBuild(join(workspace, 'out/etcd'), commit, { image: 'etcd' })
    await tamper(join(workspace, 'out/etcd', manifest.qcow2.file))
    const matrix = '{"include":[{"image":"etcd"}]}'
    const given = { command: 'verify comment', directory: 'out/etcd', 'allow-unsigned': 'true', matrix }
    const { code, outputs } = await step(given, { event: pullRequest() })
    expect({ code, outputs }).toEqual({ code: 1, outputs: { passed: 'false', changed: 'true' } })
    expect([...github.git.comments.values()].map(({ body }) => body)).toEqual([
      expect.stringContaining('✗ **not finished**'),
    ])
  })

  it('publish nothing under a tag of another version', async () => {
    await makeTestedBuild(join(workspace, 'out/etcd'), github.git.head(), { image: 'etcd' })
    const given = { command: 'publish promote', image: 'etcd', unsigned: 'true', 'allow-unsigned': 'true' }
    const { code, stdout } = await step(given, event('etcd-9.9-1'))
    expect(code).toBe(1)
    expect(stdout).toMatch(/^::error::.*out.etcd is etcd-\S+, and this step is to promote etcd-9.9-1%0A/m)
    expect(github.releases()).toEqual([])
  })

  it('leave the comment out where there is no pull request', async () => {
    const { code, stdout, outputs } = await step({ command: 'status comment', directory: 'comments' })
    expect({ code, outputs }).toEqual({ code: 0, outputs: {} })
    expect(stdout).toContain('no pull request to write a comment for')
  })
})

describe('test', () => {
  it('does not start a boot test when a feed cannot be read', async () => {
    await makeTestedBuild(join(workspace, 'out/haproxy'), commit, { image: 'haproxy', evidence: true })
    await writeFile(join(workspace, 'feed.json'), '<html>not found</html>')
    const given = { command: 'test', image: 'haproxy', 'vulnerability-feed': 'feed.json' }
    const { code, stdout, outputs, summary } = await step(given)
    expect({ code, outputs, summary }).toEqual({ code: 1, outputs: {}, summary: '' })
    expect(stdout).toMatch(/::error::feed\.json cannot be used: it is no JSON: .*%0A {2}→ download it again/)
    expect(stdout).not.toContain('emulator')
    const missing = await step({ ...given, 'vulnerability-feed': 'none.json' })
    expect(missing.stdout).toContain('::error::none.json cannot be read')
  })

  it('runs in a copy of the program inside namespaces, whose failure is reported once', async () => {
    await makeTestedBuild(join(workspace, 'out/haproxy'), commit, { image: 'haproxy' })
    // Every program of this machine except QEMU, which Proxmox VE also calls kvm.
    const bin = join(root, 'bin')
    await mkdir(bin)
    const all = ['/usr/bin', '/usr/sbin', '-maxdepth', '1', '!', '-type', 'd']
    const programs = [...all, '!', '-name', 'qemu*', '!', '-name', 'kvm']
    await execa('find', [...programs, '-exec', 'ln', '-sft', bin, '{}', '+'])
    const { code, stdout, stderr, outputs, summary } = await step(
      { command: 'test', image: 'haproxy' },
      { env: { PATH: bin } },
    )
    expect({ code, stderr, outputs, summary }).toEqual({ code: 1, stderr: '', outputs: {}, summary: '' })
    expect(stdout.match(/^::error/gm)).toHaveLength(1)
    expect(stdout).toMatch(/^::group::looking for the emulator[\s\S]*^::error::.*qemu/im)
  })
})

describe('comment', () => {
  async function leave(folder: string, image: string): Promise<void> {
    const { manifest } = await makeTestedBuild(join(root, `${folder}-${image}`), commit, { image })
    await mkdir(join(workspace, folder), { recursive: true })
    const vulnerabilities = { isScanned: false, reason: 'no feed' }
    const entry = { schema: 1, manifest, promoted: null, files: null, vulnerabilities, artifact: null }
    await writeFile(join(workspace, folder, `comment-${image}.json`), JSON.stringify(entry))
  }
  const comments = () => [...github.git.comments.values()].map(({ body }) => body)

  it('is a single one for all jobs of a run, and is updated', async () => {
    github.seedPullRequest({ number: 7, files: [] })
    const matrix = JSON.stringify({ include: [{ image: 'etcd' }, { image: 'haproxy' }] })
    const write = () => step({ command: 'comment', directory: 'comments', matrix }, { event: pullRequest() })
    await leave('comments', 'haproxy')
    expect(await write()).toMatchObject({ code: 0, outputs: { changed: 'true' } })
    expect(comments()).toEqual([expect.stringContaining('| etcd |  | ✗ **not finished**')])
    await leave('comments', 'etcd')
    expect(await write()).toMatchObject({ code: 0, outputs: { changed: 'true' } })
    expect(await write()).toMatchObject({ code: 0, outputs: { changed: 'false' } })
    expect(comments()).toEqual([expect.stringMatching(/#### etcd .+#### haproxy .+`111111111111`/s)])
  })

  it('is not written when no image is affected', async () => {
    github.seedPullRequest({ number: 7, files: [] })
    const matrix = '{"include":[]}'
    const given = { command: 'comment', directory: 'nothing', matrix }
    expect(await step(given, { event: pullRequest() })).toMatchObject({
      code: 0,
      outputs: { changed: 'false' },
    })
    expect(comments()).toEqual([])
  })

  it('is for pull requests only', async () => {
    const { code, stdout } = await step({ command: 'comment', directory: 'comments' })
    expect(code).toBe(1)
    expect(stdout).toContain(
      '::error::a comment is for a pull request, and this run was started by workflow_dispatch',
    )
  })
})

it.each(['SIGINT', 'SIGTERM'] as const)('is stopped by %s and says so', async (signal) => {
  // Accepts the request and never responds.
  const server = createServer(() => stop())
  let stop = () => {}
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const { code, stdout } = await step(
    { command: 'status' },
    {
      env: { GITHUB_API_URL: `http://127.0.0.1:${port}` },
      started(child) {
        stop = () => child.kill(signal)
      },
    },
  )
  server.closeAllConnections()
  server.close()
  expect(code).toBe(1)
  expect(stdout).toMatch(/^::error::stopped; nothing was left behind$/m)
})
