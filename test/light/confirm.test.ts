import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { confirmers } from '../../src/release/promote/confirmation.ts'
import { LocalGitHub } from '../stand-ins/github/local-github.ts'
import { copyCache, copyProject, removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { makeSigner, type Signer, type SmallImage, sign } from '../support/deploy/image.ts'
import { seedBuild } from '../support/release/seeded.ts'
import { reportOf, writeReport } from '../support/release/tested-build.ts'
import { checkout } from '../support/seeder.ts'
import { readWorkflow } from '../support/workflow/file.ts'
import { type EndedJob, runJob } from '../support/workflow/run-job.ts'
import { honestProgram, hostilePrograms, Site } from '../support/workflow/site.ts'

/**
 * confirm.yml with a real build: the programs of the default branch build the release of a tag again from the files of its
 * commit, which has other programs, and the job with the key finds the same disk.
 */
const root = await testFolder('second builder')
const leak = join(root, 'leak')
const ACTION = '.github/actions/seeder/action.yml'
let github: LocalGitHub
let site: Site
let build: SmallImage
let second: Signer

beforeAll(async () => {
  const folder = join(root, 'build')
  const manifest = await warmUp(folder)
  await writeReport(folder, reportOf(manifest))
  build = { folder, manifest }
  second = await makeSigner(join(root, 'keys'), 'second@example.internal')
  await sign(folder, await makeSigner(join(root, 'keys'), 'release@example.internal'))
  github = await LocalGitHub.start({ immutable: true })
  await seedBuild(github, build)
  site = await Site.make(join(root, 'site'))
  await copyProject(site.folder)
  const action = { [ACTION]: await readFile(join(checkout, ACTION), 'utf8') }
  await site.commit('The tagged version', { ...hostilePrograms(leak), ...action })
  await site.git('tag', `haproxy-${manifest.version}`)
  // The default branch has another image than the tag, of which the tag's has to be built.
  const motd = 'images/haproxy/tree/etc/motd'
  await site.commit('Another image, by an honest program', {
    'scripts/setup.sh': '#!/bin/sh\n',
    'dist/action/index.js': honestProgram(),
    [motd]: 'later\n',
  })
})
afterAll(async () => {
  await github.stop()
  await removeFolder(root)
})

it('a published version is built again from its tag, and confirmed', async () => {
  const [workflow, path] = [await readWorkflow('confirm.yml'), join(root, 'path')]
  await mkdir(path)
  // The workflow runs in a container with apt-get; here it must not install anything.
  await writeFile(join(path, 'apt-get'), '#!/bin/sh\n', { mode: 0o755 })
  const inputs = { tag: `haproxy-${build.manifest.version}` }
  const needs: Record<string, { outputs: Record<string, string> }> = {}
  const ended: Record<string, EndedJob> = {}
  for (const name of Object.keys(workflow.jobs)) {
    const secrets = name === 'confirm' ? { SEEDER_CONFIRMATION_KEY: await readFile(second.key, 'utf8') } : {}
    const cache =
      name === 'build' ? await copyCache(join(root, 'cache'), true) : join(root, `cache of ${name}`)
    ended[name] = await runJob({
      workflow,
      job: name,
      folder: join(root, `machine of ${name}`),
      path,
      remote: site.folder,
      sha: await site.git('rev-parse', 'main'),
      github,
      contexts: { inputs, needs, secrets },
      env: { GITHUB_API_URL: github.apiUrl, GITHUB_REPOSITORY: github.repository, XDG_CACHE_HOME: cache },
    })
    expect(ended[name].succeeded, ended[name].printed).toBe(true)
    needs[name] = { outputs: { ...ended[name].outputs } }
  }
  const { raw, lock } = build.manifest
  expect(ended.build?.outputs).toEqual({ digest: raw.sha256, 'lock-digest': lock.sha256 })
  expect(await readFile(leak, 'utf8').catch(() => '')).toBe('')
  const allowed = join(root, 'allowed')
  await writeFile(allowed, second.allowed.replace('"seeder"', '"seeder-rebuild"'))
  const body = github.releases()[0]?.body ?? ''
  expect(await confirmers({ body }, build.manifest, allowed)).toEqual([second.name])
})
