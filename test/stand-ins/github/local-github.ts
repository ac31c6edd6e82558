import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StoredArtifact } from './artifact-store.ts'
import type { Level } from './exchange.ts'
import type { Fault } from './faults.ts'
import type { Logged } from './front.ts'
import type { StoredRelease } from './releases.ts'
import type { ChangedFile, Repository } from './repository.ts'
import { open, type Parts } from './wiring.ts'

interface LocalGitHubSettings {
  /** Whether releases that are published from now on are immutable; default: false. */
  readonly immutable?: boolean
  /** Default: public. */
  readonly private?: boolean
  /** `owner/name`; default: operator/platform. */
  readonly repository?: string
}

/** Text, bytes, or the path of a file that is too big for memory. */
export type Content = string | Buffer | { readonly file: string }

/**
 * GitHub on loopback, with one repository: the parts of GitHub's REST API that the product uses, uploads, downloads
 * and the artifact service, with GitHub's rules, and faults on demand. See README.md beside this file.
 */
export class LocalGitHub {
  /** `owner/name`. */
  readonly repository: string
  /** Commits, references, files, pull requests and comments. */
  readonly git: Repository
  private readonly parts: Parts
  private readonly folder: string

  private constructor(parts: Parts, folder: string) {
    this.parts = parts
    this.folder = folder
    this.git = parts.git
    this.repository = parts.git.fullName
  }

  static async start(settings: LocalGitHubSettings = {}): Promise<LocalGitHub> {
    const { repository = 'operator/platform', private: isPrivate = false, immutable = false } = settings
    const folder = await mkdtemp(join(tmpdir(), 'local-github-'))
    return new LocalGitHub(await open(folder, { repository, isPrivate, immutable }), folder)
  }

  /** For GITHUB_API_URL. */
  get apiUrl(): string {
    return this.parts.addresses.api
  }

  /** Creates a token with these permissions, as a workflow names them; default: all. */
  token(permissions?: Readonly<Record<string, Level>>): string {
    return this.parts.tokens.make(permissions)
  }

  /** Expires a token after this number of calls; default: 0. */
  expireToken(token: string, { after = 0 }: { readonly after?: number } = {}): void {
    this.parts.tokens.expire(token, after)
  }

  /** The environment of a JavaScript action for the artifact service; each run has its own artifacts. */
  runtimeEnv(run = 'run-1'): {
    readonly ACTIONS_RUNTIME_TOKEN: string
    readonly ACTIONS_RESULTS_URL: string
  } {
    return {
      ACTIONS_RUNTIME_TOKEN: this.parts.service.token(run),
      ACTIONS_RESULTS_URL: `${this.parts.addresses.results}/`,
    }
  }

  get faults(): { add(...faults: readonly Fault[]): void; clear(): void } {
    return this.parts.faults
  }

  /** The requests in the order of their arrival. */
  get requests(): readonly Logged[] {
    return this.parts.front.requests
  }

  /** Whether releases that are published from now on are immutable. */
  set immutable(on: boolean) {
    this.parts.releases.immutable = on
  }

  /** All releases with drafts, newest first. */
  releases(): readonly StoredRelease[] {
    return this.parts.releases.all()
  }

  /** The complete artifacts, oldest first. */
  artifacts(): readonly StoredArtifact[] {
    return this.parts.artifacts.artifacts.filter((artifact) => artifact.finished)
  }

  /** Creates a commit on a branch that changes these files. Returns its sha. */
  seedCommit(files: Readonly<Record<string, string | Buffer>>, message = 'Change', branch?: string): string {
    return this.git.commit(message, files, branch)
  }

  /** Creates a tag, by default of the newest commit of the default branch; annotated with a message. */
  seedTag(tag: string, sha = this.git.head(), message?: string): void {
    this.git.makeRef(
      `tags/${tag}`,
      message === undefined ? sha : this.git.makeTagObject(tag, message, sha).sha,
    )
  }

  /** Creates an open pull request; a name alone is a modified file. */
  seedPullRequest(made: {
    readonly number: number
    readonly files: readonly (string | ChangedFile)[]
    readonly fork?: boolean
    readonly title?: string
  }): void {
    const ref = `change-${made.number}`
    this.git.pulls.set(made.number, {
      number: made.number,
      title: made.title ?? 'A change',
      fork: made.fork ?? false,
      head: { sha: this.git.commit('A change', {}, ref), ref },
      files: made.files.map((file) =>
        typeof file === 'string' ? { filename: file, status: 'modified' } : file,
      ),
    })
  }

  /** Creates a release with assets, published unless `draft`. */
  async seedRelease(made: {
    readonly tag: string
    readonly assets?: Readonly<Record<string, Content>>
    readonly title?: string
    readonly body?: string
    readonly draft?: boolean
    readonly prerelease?: boolean
    /** Default: the newest commit. */
    readonly target?: string
  }): Promise<StoredRelease> {
    const { releases, assets } = this.parts
    const { tag, title = tag, body = '', prerelease = false, target = this.git.head() } = made
    const wish = { tag_name: tag, name: title, body, prerelease, target_commitish: target }
    const release = releases.create({ ...wish, draft: true })
    for (const [name, content] of Object.entries(made.assets ?? {})) {
      await assets.seed(
        release,
        name,
        typeof content === 'object' && 'file' in content ? fileOf(content) : [Buffer.from(content)],
      )
    }
    if (!made.draft) releases.update(release, { draft: false })
    return release
  }

  /** Throws when a request was not in GitHub's API, or a response was not as GitHub's. */
  async stop(): Promise<void> {
    const { front } = this.parts
    await front.close()
    await rm(this.folder, { recursive: true, force: true })
    if (front.mistakes.length > 0) throw new AggregateError(front.mistakes, front.mistakes.join('; '))
  }
}

function fileOf({ file }: { readonly file: string }): AsyncIterable<Buffer> {
  return createReadStream(file)
}
