import type { Readable } from 'node:stream'

/** A file of a release, as GitHub has it. */
export interface Asset {
  readonly id: number
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** `starter` or `open` while an upload runs or after one broke off: such an asset holds its name and nothing else. */
  readonly state: 'uploaded' | 'open' | 'starter'
  /** sha256 in hex, once GitHub has computed it. */
  readonly sha256: string | undefined
}

export interface Release {
  readonly id: number
  readonly tag: string
  readonly title: string
  readonly body: string
  /** The commit or branch that the tag is made of when a draft is published. */
  readonly target: string
  readonly draft: boolean
  readonly prerelease: boolean
  /** Its assets and its tag cannot be changed any more. */
  readonly immutable: boolean
  /** The page for people. */
  readonly url: string
  /** ISO 8601. */
  readonly createdAt: string
  readonly publishedAt: string | undefined
  readonly assets: readonly Asset[]
}

/** What can be changed of a release, also of an immutable one. */
export interface ReleaseChange {
  readonly title?: string
  readonly body?: string
  /** The commit that a draft's tag is made of. */
  readonly target?: string
  readonly draft?: boolean
  readonly prerelease?: boolean
  readonly makeLatest?: boolean
}

/** The releases of one repository. Every method throws SeederError with what to do about it (src/github/failure.ts). */
export interface Releases {
  /** `owner/name`. */
  readonly repository: string
  /** All of them, newest first; drafts only for a token that may write. */
  list(): Promise<Release[]>
  get(id: number): Promise<Release>
  /** The commit that a tag is of, through an annotated tag's object; undefined when there is no such tag. */
  tagCommit(tag: string): Promise<string | undefined>
  /** Not tried again by itself: a lost answer does not mean that there is no draft. */
  createDraft(made: { tag: string; target: string; title: string; body: string }): Promise<Release>
  update(id: number, change: ReleaseChange): Promise<Release>
  deleteAsset(id: number): Promise<void>
  /**
   * Uploads `size` bytes as an asset, streaming through node:https. `open` is called for each attempt; throws when
   * GitHub ends up with something else.
   */
  upload(
    release: Release,
    asset: { name: string; size: number; open: () => Readable },
    onBytes?: (sent: number) => void,
  ): Promise<Asset>
  /**
   * The bytes of an asset from `from` on, as they come. `from` in the answer: where the server
   * really begins. Without Range it begins at 0 and gives all of it.
   */
  download(asset: Asset, from?: number): Promise<{ from: number; bytes: Readable }>
}
