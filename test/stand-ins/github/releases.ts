import { randomBytes } from 'node:crypto'
import { type FieldError, notFound, validationFailed } from './failure.ts'
import { now, type Repository } from './repository.ts'

/** Characters. */
const MOST_BODY = 125_000

export interface StoredAsset {
  readonly id: number
  name: string
  label: string | null
  readonly contentType: string
  /** A starter is an incomplete upload. */
  state: 'uploaded' | 'starter'
  /** Bytes. */
  size: number
  /** Of the stored bytes, in hex; none of a starter. */
  sha256: string | undefined
  /** How many more answers leave the digest out. */
  digestLate: number
  downloads: number
  readonly createdAt: string
  /** Where the bytes are. */
  readonly file: string
}

export interface StoredRelease {
  readonly id: number
  tag: string
  target: string
  title: string | null
  body: string | null
  draft: boolean
  prerelease: boolean
  immutable: boolean
  readonly createdAt: string
  publishedAt: string | undefined
  /** Of the page of a draft. */
  readonly untagged: string
  /** When it was made the latest on request, a number that grows. */
  latest: number | false
  readonly assets: StoredAsset[]
}

/** The changes that a request wants; undefined fields stay. */
interface Wish {
  readonly tag_name?: string | undefined
  readonly target_commitish?: string | undefined
  readonly name?: string | undefined
  readonly body?: string | undefined
  readonly draft?: boolean | undefined
  readonly prerelease?: boolean | undefined
  readonly make_latest?: 'true' | 'false' | 'legacy' | undefined
}

/** The releases of a repository, with GitHub's rules. */
export class ReleaseStore {
  /** Whether releases that are published from now on are immutable: the repository's setting. */
  immutable: boolean
  private readonly repository: Repository
  private releases: StoredRelease[] = []
  private latestCount = 0

  constructor(repository: Repository, immutable: boolean) {
    this.repository = repository
    this.immutable = immutable
  }

  /** Newest first. */
  all(): readonly StoredRelease[] {
    return this.releases.toReversed()
  }

  get(id: number): StoredRelease {
    const found = this.releases.find((release) => release.id === id)
    if (!found) throw notFound()
    return found
  }

  /** A draft has no tag yet. */
  published(tag: string): StoredRelease | undefined {
    return this.all().find((release) => !release.draft && release.tag === tag)
  }

  latest(): StoredRelease | undefined {
    const full = this.all().filter((release) => !release.draft && !release.prerelease)
    const chosen = full.filter((release) => release.latest !== false)
    return chosen.sort((a, b) => Number(b.latest) - Number(a.latest))[0] ?? full[0]
  }

  create(wish: Wish & { readonly tag_name: string }): StoredRelease {
    const release: StoredRelease = {
      id: this.repository.nextId(),
      tag: wish.tag_name,
      target: wish.target_commitish || this.repository.defaultBranch,
      title: wish.name ?? null,
      body: wish.body ?? null,
      draft: true,
      prerelease: wish.prerelease ?? false,
      immutable: false,
      createdAt: now(),
      publishedAt: undefined,
      untagged: `untagged-${randomBytes(10).toString('hex')}`,
      latest: false,
      assets: [],
    }
    this.change(release, { ...wish, draft: wish.draft ?? false })
    this.releases.push(release)
    return release
  }

  update(release: StoredRelease, wish: Wish): void {
    this.change(release, wish)
  }

  /** Its tag stays, and can never again be of an immutable release. */
  delete(release: StoredRelease): void {
    this.releases = this.releases.filter((each) => each !== release)
  }

  /** Whether an immutable release is on this tag. */
  holds(tag: string): boolean {
    return this.published(tag)?.immutable === true
  }

  asset(id: number): { readonly release: StoredRelease; readonly asset: StoredAsset } {
    for (const release of this.releases) {
      const asset = release.assets.find((each) => each.id === id)
      if (asset) return { release, asset }
    }
    throw notFound()
  }

  /** Applies all changes, or none. */
  private change(release: StoredRelease, wish: Wish): void {
    const wanted = { ...release, ...fields(wish) }
    const errors = [
      ...(release.immutable ? frozen(release, wanted) : []),
      ...this.invalid(release, wanted),
      ...latestErrors(wanted, wish),
    ]
    if (errors.length > 0) throw validationFailed(...errors)
    const publishes = release.draft && !wanted.draft
    if (publishes) this.publish(wanted)
    if (wish.make_latest === 'true') wanted.latest = ++this.latestCount
    if (wish.make_latest === 'false') wanted.latest = false
    if (publishes && wish.make_latest === undefined && !wanted.prerelease) wanted.latest = ++this.latestCount
    Object.assign(release, wanted)
  }

  private publish(wanted: StoredRelease): void {
    const ref = `tags/${wanted.tag}`
    if (!this.repository.refs.has(ref)) {
      this.repository.makeRef(ref, this.repository.resolve(wanted.target)?.sha ?? '')
    }
    wanted.publishedAt = now()
    wanted.immutable = this.immutable
    if (wanted.immutable) this.repository.burned.add(wanted.tag)
  }

  private invalid(release: StoredRelease, wanted: StoredRelease): FieldError[] {
    const { tag } = wanted
    const error = (code: FieldError['code'], field?: string, message?: string): FieldError => ({
      resource: 'Release',
      code,
      ...(field === undefined ? {} : { field }),
      ...(message === undefined ? {} : { message }),
    })
    if ((wanted.body ?? '').length > MOST_BODY) {
      return [error('custom', 'body', `body is too long (maximum is ${MOST_BODY} characters)`)]
    }
    const noTag = error('custom', undefined, 'Published releases must have a valid tag')
    if (!isWellFormed(tag)) {
      return [error('custom', 'tag_name', 'tag_name is not well-formed'), ...(wanted.draft ? [] : [noTag])]
    }
    const other = this.published(tag)
    if (!wanted.draft && other && other !== release) return [error('already_exists', 'tag_name')]
    if (!wanted.draft && this.repository.burned.has(tag) && !release.immutable) {
      const rule =
        'Repository rule violations found\n\nCannot create ref due to creations being restricted.\n\n'
      return [
        ...(this.repository.refs.has(`tags/${tag}`)
          ? []
          : [error('custom', 'pre_receive', `pre_receive ${rule}`)]),
        error('custom', 'tag_name', 'tag_name was used by an immutable release'),
        noTag,
      ]
    }
    if (this.repository.refs.has(`tags/${tag}`) || this.repository.resolve(wanted.target)) return []
    const untagged = wanted.draft ? [] : [error('custom', 'tag_name', 'tag_name is not a valid tag'), noTag]
    return [...untagged, error('invalid', 'target_commitish')]
  }
}

/** The fields that differ from the wanted ones. */
function fields(wish: Wish): Partial<StoredRelease> {
  return {
    ...(wish.tag_name === undefined ? {} : { tag: wish.tag_name }),
    ...(wish.target_commitish ? { target: wish.target_commitish } : {}),
    ...(wish.name === undefined ? {} : { title: wish.name }),
    ...(wish.body === undefined ? {} : { body: wish.body }),
    ...(wish.draft === undefined ? {} : { draft: wish.draft }),
    ...(wish.prerelease === undefined ? {} : { prerelease: wish.prerelease }),
  }
}

/** Title, body, pre-release and latest are all that can be changed of an immutable release. */
function frozen(release: StoredRelease, wanted: StoredRelease): FieldError[] {
  const changed = [
    ...(wanted.draft ? ['state'] : []),
    ...(wanted.tag === release.tag ? [] : ['tag_name']),
    ...(wanted.target === release.target ? [] : ['target_commitish']),
  ]
  return changed.map((field) => ({
    resource: 'Release',
    code: 'custom',
    field,
    message: `${field} cannot be changed when release is immutable`,
  }))
}

function latestErrors(wanted: StoredRelease, wish: Wish): FieldError[] {
  if (wish.make_latest !== 'true' || !wanted.prerelease) return []
  const message = 'Latest release cannot be draft or prerelease'
  return [{ resource: 'Release', code: 'custom', field: 'make_latest', message }]
}

/** As git wants the name of a tag. */
function isWellFormed(tag: string): boolean {
  return tag.length > 0 && !/^[-/.]|[\s~^:?*[\\]|\.\.|@\{|\/\/|[/.]$|\.lock$/.test(tag)
}
