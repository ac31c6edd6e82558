import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Logged } from '../../../stand-ins/github/front.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { makeSigner, type Signer } from '../../../support/deploy/image.ts'
import { makeProject } from '../../../support/release/project.ts'
import { makeTestedBuild } from '../../../support/release/tested-build.ts'
import { published } from '../../../support/schemas.ts'
import { checkout } from '../../../support/seeder.ts'

const tag = 'haproxy-3.0.11-1'

let folder: string
let signer: Signer
let key: string
let project: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-publish-killed-'))
  signer = await makeSigner(join(folder, 'keys'))
  key = await readFile(signer.key, 'utf8')
  project = await makeProject(join(folder, 'project'))
})

afterAll(() => rm(folder, { recursive: true }))

interface World {
  readonly github: LocalGitHub
  /** The folder of the build. */
  readonly build: string
}

async function world(): Promise<World> {
  const github = await LocalGitHub.start({ immutable: true })
  const build = await mkdtemp(join(folder, 'build-'))
  await makeTestedBuild(build, github.git.head(), { sizeMiB: 8 })
  return { github, build }
}

/** `seeder publish` as a process of its own. */
function start({ github, build }: World, env: Readonly<Record<string, string>> = {}) {
  const argv = ['--project', project, 'publish', build, '--key', signer.key, '--json']
  return execa(process.execPath, [join(checkout, 'src/cli.ts'), ...argv], {
    cwd: checkout,
    env: {
      GITHUB_TOKEN: github.token(),
      GITHUB_REPOSITORY: github.repository,
      GITHUB_API_URL: github.apiUrl,
      ...env,
    },
    stdin: 'ignore',
    reject: false,
  })
}

/** Calls back at this number of requests to the local GitHub. */
function atRequest(github: LocalGitHub, count: number, act: () => void): void {
  // It adds each request to this list when it comes.
  const requests = github.requests as Logged[]
  requests.push = (...some) => {
    const length = Array.prototype.push.apply(requests, some)
    if (length === count) act()
    return length
  }
}

/** A published release is whole, whenever one looks. */
function expectNoHalfRelease({ github }: World): void {
  for (const { draft, assets } of github.releases()) {
    if (draft) continue
    expect(assets.map(({ state }) => state)).toEqual(Array(7).fill('uploaded'))
  }
}

async function expectFinished(given: World): Promise<void> {
  const { github, build } = given
  expectNoHalfRelease(given)
  const [release, ...others] = github.releases()
  expect(others).toEqual([])
  expect(release).toMatchObject({ tag, draft: false, prerelease: true })
  const image = release?.assets.find(({ name }) => name.endsWith('.qcow2'))
  expect((await readFile(image?.file ?? '')).equals(await readFile(join(build, `${tag}.qcow2`)))).toBe(true)
  const finished = github.requests.filter(({ on, status }) => on === 'upload' && status === 201)
  expect(finished.map(({ query }) => query).sort()).toEqual([
    ...new Set(finished.map(({ query }) => query).sort()),
  ])
}

// An uninterrupted run sends 15 requests: the list, the tag, the draft, the draft again, 7 uploads, the draft once
// more, its publication, the release and its tag.
const requestCount = 15

describe('seeder publish, killed', () => {
  it('sends the number of requests at which it is killed below', async () => {
    const given = await world()
    const { stdout } = await start(given)
    expect(await published('printed/publish', JSON.parse(stdout))).toMatchObject({ tag, published: true })
    expect(given.github.requests).toHaveLength(requestCount)
    await expectFinished(given)
    await given.github.stop()
  })

  it.each(Array.from({ length: requestCount }, (_, index) => index + 1))(
    'at request %i, is finished by the next run',
    async (count) => {
      const given = await world()
      const killed = start(given)
      atRequest(given.github, count, () => killed.kill('SIGKILL'))
      expect((await killed).signal).toBe('SIGKILL')
      expectNoHalfRelease(given)
      const { stdout, stderr } = await start(given)
      expect(stderr).not.toContain('seeder:')
      expect(JSON.parse(stdout)).toMatchObject({ tag, candidate: true })
      await expectFinished(given)
      await given.github.stop()
    },
  )

  it('with a signal that can be handled, names the draft', async () => {
    const given = await world()
    const stopped = start(given)
    atRequest(given.github, 6, () => stopped.kill('SIGTERM'))
    const { exitCode, stderr } = await stopped
    expect(exitCode).toBe(130)
    expect(stderr).toContain(`stopped; the draft of ${tag} is not finished: https://github.com/operator/`)
    await start(given)
    await expectFinished(given)
    await given.github.stop()
  })

  it('leaves nothing of the key when it is killed while it signs', async () => {
    const given = await world()
    const [programs, temporary] = [join(given.build, '../programs'), join(given.build, '../temporary')]
    const signing = join(programs, 'signing')
    for (const made of [programs, temporary]) await mkdir(made)
    // In the place of ssh-keygen: it has the key, and does not come to an end.
    const script = `#!/bin/sh\ngrep -q PRIVATE /proc/self/fd/3 && echo $$ > '${signing}'\nexec sleep 600\n`
    await writeFile(join(programs, 'ssh-keygen'), script, { mode: 0o755 })
    const killed = start(given, { PATH: `${programs}:${process.env.PATH}`, TMPDIR: temporary })
    const signer = await vi.waitFor(async () => Number(await readFile(signing, 'utf8')) || Promise.reject(), {
      timeout: 60_000,
    })
    killed.kill('SIGKILL')
    expect((await killed).signal).toBe('SIGKILL')
    process.kill(signer, 'SIGKILL')
    expect(await readdir(temporary)).toEqual([])
    const [, secret = ''] = key.split('\n')
    const found = await execa('grep', ['-rlsF', secret, '/dev/shm', given.build], { reject: false })
    expect(found.stdout).toBe('')
    await given.github.stop()
  })
})
