import type { Readable } from 'node:stream'

/** A file of a release on GitHub. */
export interface Asset {
  readonly id: number
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** `starter` or `open` during an upload and after an incomplete one: such an asset occupies its name. */
  readonly state: 'uploaded' | 'open' | 'starter'
  /** sha256 in hex, once GitHub has computed it. */
  readonly sha256: string | undefined
}

export interface Release {
  readonly id: number
  readonly tag: string
  readonly title: string
  readonly body: string
  /** The commit or branch that the tag of a draft will refer to. */
  readonly target: string
  readonly draft: boolean
  readonly prerelease: boolean
  /** Its assets and its tag cannot be changed. */
  readonly immutable: boolean
  /** The page for people. */
  readonly url: string
  /** ISO 8601. */
  readonly createdAt: string
  readonly publishedAt: string | undefined
  readonly assets: readonly Asset[]
}

/** The draft of a release, to create. */
export interface NewDraft {
  readonly tag: string
  /** The commit that the tag will refer to. */
  readonly target: string
  readonly title: string
  readonly body: string
}

/** Changes that are possible also for an immutable release. */
export interface ReleaseChange {
  readonly title?: string
  readonly body?: string
  /** The commit that the tag of a draft will refer to. */
  readonly target?: string
  readonly draft?: boolean
  readonly prerelease?: boolean
  readonly makeLatest?: boolean
}

/** The releases of one repository. Every method throws SeederError with a fix (src/github/failure.ts). */
export interface Releases {
  /** `owner/name`. */
  readonly repository: string
  /** Newest first; drafts are listed only for a token that may write. */
  list(): Promise<Release[]>
  get(id: number): Promise<Release>
  /** The commit of a lightweight or annotated tag; undefined when there is no such tag. */
  tagCommit(tag: string): Promise<string | undefined>
  /** Sent only once: the response may be lost after the draft was created. */
  createDraft(draft: NewDraft): Promise<Release>
  update(id: number, change: ReleaseChange): Promise<Release>
  deleteAsset(id: number): Promise<void>
  /** Uploads an asset. `open` is called for each attempt. */
  upload(
    release: Release,
    asset: { name: string; size: number; open: () => Readable },
    onBytes?: (sent: number) => void,
  ): Promise<Asset>
  /** Streams an asset from `from` on. The result's `from` is 0 when the server does not support Range. */
  download(asset: Asset, from?: number): Promise<{ from: number; bytes: Readable }>
}
