import { createHash, randomBytes } from 'node:crypto'
import { notFound, Refusal, validationFailed } from './failure.ts'

export interface Commit {
  readonly sha: string
  readonly message: string
  readonly date: string
  readonly parents: readonly string[]
  readonly files: ReadonlyMap<string, Buffer>
}

/** An annotated tag's own object. */
export interface TagObject {
  readonly sha: string
  readonly tag: string
  readonly message: string
  readonly object: { readonly sha: string; readonly type: string }
  readonly date: string
}

export interface Ref {
  readonly type: 'commit' | 'tag'
  readonly sha: string
}

export interface ChangedFile {
  readonly filename: string
  readonly status: 'added' | 'modified' | 'removed' | 'renamed'
  readonly previous?: string
}

export interface PullRequest {
  readonly number: number
  readonly title: string
  readonly head: { readonly sha: string; readonly ref: string }
  /** Whether it comes from a fork. */
  readonly fork: boolean
  readonly files: readonly ChangedFile[]
}

export interface Comment {
  readonly id: number
  readonly issue: number
  body: string
  readonly createdAt: string
  updatedAt: string
}

/** What a git repository on GitHub has, apart from its releases. */
export class Repository {
  readonly id = 4_711
  readonly owner: string
  readonly name: string
  private: boolean
  readonly defaultBranch = 'main'
  readonly commits = new Map<string, Commit>()
  /** `heads/…` and `tags/…`. */
  readonly refs = new Map<string, Ref>()
  readonly tagObjects = new Map<string, TagObject>()
  readonly pulls = new Map<number, PullRequest>()
  readonly comments: Comment[] = []
  /** The tags that cannot be moved, deleted, or made again: those of immutable releases, also of deleted ones. */
  readonly burned = new Set<string>()
  private lastId = 1_000

  constructor(fullName: string, isPrivate: boolean) {
    const [owner = '', name = ''] = fullName.split('/')
    this.owner = owner
    this.name = name
    this.private = isPrivate
    this.commit('First commit', {})
  }

  get fullName(): string {
    return `${this.owner}/${this.name}`
  }

  nextId(): number {
    return ++this.lastId
  }

  /** Adds a commit to a branch, with the files of the branch changed by these. Returns its sha. */
  commit(
    message: string,
    files: Readonly<Record<string, string | Buffer>>,
    branch = this.defaultBranch,
  ): string {
    const parent = this.commits.get(this.refs.get(`heads/${branch}`)?.sha ?? this.head())
    const all = new Map(parent?.files)
    for (const [path, content] of Object.entries(files)) all.set(path, Buffer.from(content))
    const sha = createHash('sha1').update(randomBytes(20)).digest('hex')
    const parents = parent ? [parent.sha] : []
    this.commits.set(sha, { sha, message, date: now(), parents, files: all })
    this.refs.set(`heads/${branch}`, { type: 'commit', sha })
    return sha
  }

  /** Of the default branch; empty before the first commit. */
  head(): string {
    return this.refs.get(`heads/${this.defaultBranch}`)?.sha ?? ''
  }

  /** The commit that a sha, a branch or a tag is of. */
  resolve(name: string): Commit | undefined {
    const ref = [name, name.replace(/^refs\//, ''), `heads/${name}`, `tags/${name}`].map((key) =>
      this.refs.get(key),
    )
    const found = ref.find((each) => each !== undefined)
    let sha = found?.sha ?? name
    // An annotated tag can be of another one.
    for (let tag = this.tagObjects.get(sha); tag; tag = this.tagObjects.get(sha)) sha = tag.object.sha
    return this.commits.get(sha)
  }

  makeTagObject(tag: string, message: string, sha: string): TagObject {
    const type = this.typeOf(sha)
    if (!type) throw validationFailed({ resource: 'Tag', code: 'invalid', field: 'object' })
    const made = {
      sha: createHash('sha1').update(`${tag}${message}${sha}`).digest('hex'),
      tag,
      message,
      object: { sha, type },
      date: now(),
    }
    this.tagObjects.set(made.sha, made)
    return made
  }

  /** `ref` as `tags/NAME` or `heads/NAME`. Throws Refusal 422 as GitHub. */
  makeRef(ref: string, sha: string): Ref {
    if (this.refs.has(ref)) throw new Refusal(422, 'Reference already exists')
    if (this.isBurned(ref)) throw ruleViolation('Cannot create ref due to creations being restricted.')
    return this.setRef(ref, sha)
  }

  moveRef(ref: string, sha: string): Ref {
    if (!this.refs.has(ref)) throw new Refusal(422, 'Reference does not exist')
    if (this.isBurned(ref)) throw ruleViolation('Cannot update this protected ref.')
    return this.setRef(ref, sha)
  }

  /** `isHeld`: whether an immutable release is on this tag. */
  deleteRef(ref: string, isHeld: (tag: string) => boolean): void {
    if (!this.refs.has(ref)) throw new Refusal(422, 'Reference does not exist')
    if (ref.startsWith('tags/') && isHeld(ref.slice('tags/'.length))) {
      throw ruleViolation('Cannot delete this protected ref.')
    }
    this.refs.delete(ref)
  }

  pull(number: number): PullRequest {
    const found = this.pulls.get(number)
    if (!found) throw notFound()
    return found
  }

  private setRef(ref: string, sha: string): Ref {
    const type = this.typeOf(sha)
    if (!type) throw new Refusal(422, 'Object does not exist')
    const made = { type, sha }
    this.refs.set(ref, made)
    return made
  }

  private typeOf(sha: string): Ref['type'] | undefined {
    if (this.tagObjects.has(sha)) return 'tag'
    return this.commits.has(sha) ? 'commit' : undefined
  }

  private isBurned(ref: string): boolean {
    return ref.startsWith('tags/') && this.burned.has(ref.slice('tags/'.length))
  }
}

export function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`
}

function ruleViolation(what: string): Refusal {
  return new Refusal(422, `Repository rule violations found\n\n${what}\n\n`)
}
