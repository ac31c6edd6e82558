import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type BundleOptions, bundleCommand } from '../../../src/commands/bundle.ts'
import type { Context } from '../../../src/commands/context.ts'
import { publishCommand } from '../../../src/commands/publish.ts'
import { verifyCommand } from '../../../src/commands/verify.ts'
import { connect } from '../../../src/github/client.ts'
import { contentsSchema, type ReleaseFile } from '../../../src/release/format/contents.ts'
import { sha256File } from '../../../src/store/digest.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import type { StoredRelease } from '../../stand-ins/github/releases.ts'
import { testFolder } from '../builds.ts'
import { makeSigner, type Signer } from '../deploy/image.ts'
import { checkout } from '../seeder.ts'
import { keptProgress } from './connected.ts'
import { type Inputs, inputsOf, keepInputs, listOf, someBytes } from './inputs.ts'
import { makeProject } from './project.ts'
import { makeTestedBuild } from './tested-build.ts'

const kib = 1024
export const [first, second, third] = ['haproxy-3.0.11-1', 'haproxy-3.0.11-2', 'haproxy-3.0.12-1']
export const packages: Inputs = {
  libc6: someBytes(900 * kib),
  linux: someBytes(1200 * kib),
  haproxy: someBytes(300 * kib),
  'a tool': someBytes(600 * kib),
}
/** What the first version is built from, and the second with another haproxy. */
export const before = inputsOf('one', packages)
export const haproxy = someBytes(310 * kib)
export const after = inputsOf('two', { ...packages, haproxy })

/** What `verify TAG` says without a download. */
export const unchecked = {
  'content of the disk': expect.stringContaining('not checked'),
  'content of the bundle': expect.stringContaining('not checked'),
}

/** A project whose releases bring their bundles, and the machine that publishes them. */
export class BundledReleases {
  readonly root: string
  readonly project: string
  readonly signer: Signer
  /** The cache of the machine that this is now. */
  cache = ''
  private local: LocalGitHub | undefined
  private count = 0

  private constructor(root: string, project: string, signer: Signer) {
    this.root = root
    this.project = project
    this.signer = signer
  }

  static async make(): Promise<BundledReleases> {
    const root = await testFolder('publish bundle')
    const signer = await makeSigner(join(root, 'keys'))
    const project = await makeProject(join(root, 'project'))
    await writeFile(join(project, 'allowed_signers'), signer.allowed)
    return new BundledReleases(root, project, signer)
  }

  /** Begins with a GitHub without releases, on a machine where nothing ever was. */
  async begin(): Promise<void> {
    this.local = await LocalGitHub.start({ immutable: true })
    this.elsewhere()
  }

  async end(): Promise<void> {
    await this.github.stop()
  }

  async remove(): Promise<void> {
    await rm(this.root, { recursive: true })
  }

  get github(): LocalGitHub {
    if (!this.local) throw new Error('it has not begun')
    return this.local
  }

  env(): Record<string, string> {
    const { github, cache } = this
    return {
      GITHUB_TOKEN: github.token(),
      GH_TOKEN: '',
      XDG_CACHE_HOME: cache,
      GITHUB_REPOSITORY: github.repository,
      GITHUB_API_URL: github.apiUrl,
    }
  }

  /** The command line’s own way to do things, in this process. */
  context(): Context {
    return {
      project: () => this.project,
      cache: join(this.cache, 'seeder'),
      checkout,
      version: '0',
      progress: () => keptProgress(),
    }
  }

  /** A path where nothing is. */
  fresh(name: string): string {
    return join(this.root, `${name} ${this.count++}`)
  }

  publish(folder: string, bundle = true) {
    return publishCommand({ folder, key: this.signer.key, bundle }, this.context(), this.env())
  }

  /** Puts the bundle of a build or of a release into a file of its own. Its digest. */
  async bundle(of: string, options: Omit<BundleOptions, 'of'> = {}): Promise<string> {
    const request = { of, out: this.fresh('bundle.tar'), ...options }
    const { file } = await bundleCommand(request, this.context(), this.env())
    return sha256File(file)
  }

  /** A tested build of a version, whose files are in the package store. */
  async build(tag: string, inputs: Inputs): Promise<string> {
    const folder = this.fresh('build')
    const [image = '', version] = tag.split(/-(?=\d)/, 2)
    await keepInputs(join(this.cache, 'seeder'), inputs)
    const made = { image, version: `${version}-${tag.split('-').at(-1)}`, sizeMiB: 2, inputs: listOf(inputs) }
    await makeTestedBuild(folder, this.github.git.head(), made)
    return folder
  }

  /** Builds and publishes. */
  async release(tag: string, inputs: Inputs, bundle = true): Promise<string> {
    const folder = await this.build(tag, inputs)
    await this.publish(folder, bundle)
    return folder
  }

  stored(tag: string): StoredRelease {
    const found = this.github.releases().find((one) => one.tag === tag)
    return found ?? expect.fail(`${tag} is not there`)
  }

  /** What its release.json says of its bundle. */
  async bundleFileOf(tag: string): Promise<ReleaseFile | undefined> {
    const asset = this.stored(tag).assets.find(({ name }) => name === 'release.json')
    return contentsSchema.parse(JSON.parse(await readFile(asset?.file ?? '', 'utf8'))).bundleFile
  }

  /** Where nothing is to be written. */
  never(): string {
    return join(this.root, 'never.tar')
  }

  /** From now on this machine is another one, where nothing ever was. */
  elsewhere(): void {
    this.cache = this.fresh('cache')
  }

  /** The bundle of a release, downloaded where nothing of it is. Its digest. */
  downloaded(tag: string, options: Omit<BundleOptions, 'of'> = {}): Promise<string> {
    this.elsewhere()
    return this.bundle(tag, options)
  }

  /** What `verify TAG` finds that is not right. */
  async findings(tag: string, download = false): Promise<Record<string, string>> {
    const found = await verifyCommand({ folder: tag, bundle: download }, this.context(), this.env())
    return Object.fromEntries(
      found.flatMap(({ what, result, found }) => (result === 'right' ? [] : [[what, `${result}: ${found}`]])),
    )
  }

  /** Deletes a release. */
  async delete(tag: string): Promise<void> {
    const { github } = this
    const { octokit } = connect({
      apiUrl: github.apiUrl,
      repository: github.repository,
      token: github.token(),
      signal: new AbortController().signal,
    })
    const [owner = '', repo = ''] = github.repository.split('/')
    await octokit.repos.deleteRelease({ owner, repo, release_id: this.stored(tag).id })
  }
}
