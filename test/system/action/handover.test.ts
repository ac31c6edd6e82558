import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { uploadFiles, uploadImage } from '../../../src/action/artifact.ts'
import { uploadBundle } from '../../../src/action/handover.ts'
import { bundleName } from '../../../src/build/bundle/format.ts'
import { type Manifest, manifestName } from '../../../src/build/manifest.ts'
import type { Context } from '../../../src/commands/context.ts'
import { loadImage } from '../../../src/image/definition.ts'
import { lockDigest, readLock } from '../../../src/image/lock.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { plainZip } from '../../stand-ins/github/plain-zip.ts'
import { type EndedStep, runStep } from '../../support/action.ts'
import { copyProject, testFolder } from '../../support/builds.ts'
import { makeSigner, type Signer, type SmallImage, sha256, writeSums } from '../../support/deploy/image.ts'
import { keptProgress } from '../../support/release/connected.ts'
import { inputsOf, keepInputs, listOf, someBytes } from '../../support/release/inputs.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'
import { checkout } from '../../support/seeder.ts'

/** The handover of a build to the job with the signing key: the real client, and the local artifact service. */
const root = await testFolder('handover')
const workspace = join(root, 'checkout')
const inputs = inputsOf('one', { haproxy: someBytes(100_000) })
let github: LocalGitHub
let signer: Signer
let build: SmallImage
let lock = ''
let version = ''
let count = 0

beforeAll(async () => {
  await copyProject(workspace)
  signer = await makeSigner(join(root, 'keys'))
  await writeFile(join(workspace, 'allowed_signers'), signer.allowed)
  const git = (...words: string[]) =>
    execa('git', ['-c', 'user.name=op', '-c', 'user.email=op@example.internal', ...words], { cwd: workspace })
  await git('init', '--quiet')
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'The site')
  const locked = await readLock(await loadImage(workspace, 'haproxy'))
  lock = lockDigest(locked)
  version = locked.version
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
})
afterAll(async () => {
  vi.restoreAllMocks()
  await rm(root, { recursive: true })
})

beforeEach(async () => {
  github = await LocalGitHub.start({ immutable: true })
  for (const [name, value] of Object.entries(github.runtimeEnv())) vi.stubEnv(name, value)
  build = await makeBuild()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(join(workspace, 'out'), { recursive: true, force: true })
  await github.stop()
})

async function head(): Promise<string> {
  const { stdout } = await execa('git', ['rev-parse', 'HEAD'], { cwd: workspace })
  return stdout
}

/** A build of the checkout, or with other properties. */
async function makeBuild(
  more: { commit?: string; version?: string; lock?: string } = {},
): Promise<SmallImage> {
  const commit = more.commit ?? (await head())
  const first = github.git.commits.get(github.git.head())
  if (first) github.git.commits.set(commit, { ...first, sha: commit })
  return makeTestedBuild(join(root, `build-${count++}`), commit, {
    version,
    lock,
    inputs: listOf(inputs),
    ...more,
  })
}

/** Uploads the artifacts of `command: test` with `artifact: true`, without the minutes of the boot test. */
async function handOver(
  { folder, manifest }: SmallImage = build,
  name = `haproxy-${version}`,
): Promise<void> {
  const machine = join(root, `machine-${count++}`)
  await keepInputs(join(machine, 'seeder'), inputs)
  await mkdir(join(machine, 'temp'))
  const settings = { env: process.env, retentionDays: undefined }
  const small = (await readdir(folder)).filter((file) => !file.endsWith('.qcow2'))
  await uploadFiles(name, folder, small, settings)
  await uploadImage(folder, manifest, settings)
  const temporary = join(machine, 'temp')
  await uploadBundle(folder, manifest, { ...settings, temporary }, contextOf(machine))
}

function contextOf(machine: string): Context {
  return {
    project: () => workspace,
    cache: join(machine, 'seeder'),
    checkout,
    version: '0',
    progress: () => keptProgress(),
  }
}

/** The step with the signing key, on a fresh machine. */
async function publish(more: Record<string, string> = {}): Promise<EndedStep & { machine: string }> {
  const machine = join(root, `machine-${count++}`)
  const given = { command: 'publish', image: 'haproxy', artifact: 'true' }
  const ended = await runStep({
    with: { ...given, 'signing-key': await readFile(signer.key, 'utf8'), ...more },
    folder: join(machine, 'step'),
    workspace,
    github,
    env: { XDG_CACHE_HOME: machine },
  })
  return { ...ended, machine }
}

const artifact = (name: string) =>
  github.artifacts().find((other) => other.name === name) ?? expect.fail(`there is no artifact ${name}`)

/** Replaces the bytes of an artifact, as a compromised job could. */
async function replace(name: string, content: Buffer): Promise<void> {
  const found = artifact(name)
  await writeFile(found.file, content)
  Object.assign(found, { size: content.length, sha256: sha256(content) })
}

async function refused(message: string): Promise<void> {
  const { code, stdout, machine } = await publish()
  expect(stdout).toContain(message)
  expect(code).toBe(1)
  expect(github.releases()).toEqual([])
  expect(existsSync(join(workspace, 'out/haproxy'))).toBe(false)
  expect(await readdir(join(machine, 'seeder/work'))).toEqual([])
}

describe('a build of another job', () => {
  it('is published and signed on a fresh machine, with the files of its bundle', async () => {
    await handOver()
    const { code, stdout, outputs } = await publish()
    expect(code, stdout).toBe(0)
    const { manifest } = build
    expect(outputs).toMatchObject({ version, digest: manifest.raw.sha256, changed: 'true' })
    expect(outputs.qcow2).toBe(join(workspace, 'out/haproxy', manifest.qcow2.file))
    expect(JSON.parse(await readFile(outputs.manifest ?? '', 'utf8'))).toEqual(manifest)
    const [release] = github.releases()
    expect(release).toMatchObject({ tag: `haproxy-${version}`, draft: false, prerelease: true })
    const names = release?.assets.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['SHA256SUMS.sig', `haproxy-${version}.bundle.tar`]))
    // As when the job is run again: the folder and the release exist.
    expect((await publish()).outputs.changed).toBe('false')
  })

  it('is downloaded without its bundle when that is not published', async () => {
    await handOver()
    const { code, stdout } = await publish({ bundle: 'false' })
    expect(code, stdout).toBe(0)
    const downloads = github.requests.filter(({ path }) => path.endsWith('/GetSignedArtifactURL'))
    expect(downloads).toHaveLength(2)
  })

  it('has to exist', async () => {
    await refused(`this run has no artifact haproxy-${version}`)
  })
})

describe('a compromised job', () => {
  it.each<[string, Parameters<typeof makeBuild>[0], string]>([
    ['commit', { commit: '2'.repeat(40) }, `says commit ${'2'.repeat(40)}; here it is`],
    ['lock', { lock: '3'.repeat(64) }, `says lock ${'3'.repeat(64)}; here it is`],
  ])('with another %s is refused', async (_what, more, message) => {
    await handOver(await makeBuild(more))
    await refused(message)
  })

  it('with another version than the lock of the second job’s checkout is refused', async () => {
    await handOver(await makeBuild({ version: '9.9.9-1' }))
    await refused(`the artifact haproxy-${version} has no haproxy-${version}.manifest.json`)
    await rewrite((manifest) => ({ ...manifest, version: '9.9.9-1' }))
    await refused(`says version 9.9.9-1; here it is ${version}`)
  })

  it('with another disk is refused', async () => {
    await handOver()
    const { file } = build.manifest.qcow2
    await replace(file, Buffer.from('another disk'))
    const { code, stdout } = await publish()
    expect([code, github.releases()]).toEqual([1, []])
    expect(stdout).toContain(`is damaged: ${file}`)
  })

  it('with paths outside the folder, or a link, leaves no file there', async () => {
    await handOver()
    const name = `haproxy-${version}`
    const [outside, absolute] = [`../../../../../outside-${count}`, join(root, `absolute-${count}`)]
    const manifest = await readFile(join(build.folder, manifestName(build.manifest)), 'utf8')
    await replace(
      name,
      plainZip([
        { name: manifestName(build.manifest), content: manifest },
        { name: outside, content: 'x' },
        { name: absolute, content: 'x' },
        { name: 'SHA256SUMS', content: '/etc/passwd', mode: 0o120777 },
      ]),
    )
    const { code, machine } = await publish()
    expect([code, github.releases()]).toEqual([1, []])
    expect(existsSync(absolute)).toBe(false)
    const all = await readdir(root, { recursive: true })
    expect(all.filter((path) => path.includes('outside-'))).toEqual([])
    expect(await readdir(join(machine, 'seeder/work'))).toEqual([])
  })

  it('with an artifact that claims an absurd size is refused before the download', async () => {
    await handOver()
    artifact(`haproxy-${version}`).size = 2 ** 40
    await refused(`has ${2 ** 40} bytes; at most`)
    expect(github.requests.filter(({ path }) => path.endsWith('/GetSignedArtifactURL'))).toEqual([])
  })

  it('with another file as bundle is refused', async () => {
    await handOver()
    await replace(bundleName(build.manifest), Buffer.from('no tar'))
    await refused('cannot be unpacked')
  })
})

/** Changes the manifest in the uploaded small files, with its digest in SHA256SUMS. */
async function rewrite(change: (manifest: Manifest) => Manifest): Promise<void> {
  const { folder, manifest } = build
  await writeFile(join(folder, manifestName(manifest)), JSON.stringify(change(manifest)))
  await writeSums(folder, manifest)
  const small = (await readdir(folder)).filter((file) => !file.endsWith('.qcow2'))
  await uploadFiles(`haproxy-${version}`, folder, small, { env: process.env, retentionDays: undefined })
}
