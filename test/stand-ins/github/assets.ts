import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Call } from './exchange.ts'
import { Refusal, validationFailed } from './failure.ts'
import type { Misbehaviour } from './faults.ts'
import type { Visit } from './front.ts'
import type { Incoming } from './incoming.ts'
import type { StoredAsset, StoredRelease } from './releases.ts'
import { now, type Repository } from './repository.ts'
import { writeSparse } from './sparse-file.ts'

/** GitHub documents up to 2 GiB, but exactly 2 GiB failed. */
const TOO_BIG = 2_147_483_648
const MOST = 1_000

/** The bytes of assets, in files. */
export class AssetStore {
  private readonly repository: Repository
  private readonly folder: string
  private readonly download: string
  private readonly signatures = new Map<string, StoredAsset>()

  constructor(repository: Repository, folder: string, download: string) {
    this.repository = repository
    this.folder = folder
    this.download = download
  }

  /**
   * Stores the body of a request as an asset. Whatever breaks it off leaves a `starter` behind, as on GitHub. Throws
   * Refusal, and BrokenOff.
   */
  async upload(release: StoredRelease, call: Call, incoming: Incoming): Promise<StoredAsset> {
    const name = storedName(call.query.get('name') ?? '')
    refuse(release, name, incoming.length, call.headers['content-type'])
    const id = this.repository.nextId()
    const asset: StoredAsset = {
      id,
      name,
      label: call.query.get('label'),
      contentType: call.headers['content-type'] ?? '',
      state: 'starter',
      size: 0,
      sha256: undefined,
      digestLate: 0,
      downloads: 0,
      createdAt: now(),
      file: join(this.folder, String(id)),
    }
    release.assets.push(asset)
    const { fault } = incoming
    const written = await writeSparse(asset.file, incoming.bytes())
    if (typeof fault === 'object' && 'status' in fault) return asset
    Object.assign(asset, { ...written, state: 'uploaded' })
    asset.digestLate = digestLate(fault)
    return asset
  }

  /** A file of a test as an asset. */
  async seed(
    release: StoredRelease,
    name: string,
    content: AsyncIterable<Buffer> | Iterable<Buffer>,
  ): Promise<StoredAsset> {
    const id = this.repository.nextId()
    const file = join(this.folder, String(id))
    const asset: StoredAsset = {
      id,
      name,
      label: null,
      contentType: 'application/octet-stream',
      state: 'uploaded',
      createdAt: now(),
      file,
      digestLate: 0,
      downloads: 0,
      ...(await writeSparse(file, content)),
    }
    release.assets.push(asset)
    return asset
  }

  /** Where an asset can be downloaded without a token. */
  sign(asset: StoredAsset): string {
    const signature = randomBytes(12).toString('hex')
    this.signatures.set(signature, asset)
    const query = new URLSearchParams({
      sig: signature,
      'response-content-disposition': `attachment; filename=${asset.name}`,
      'response-content-type': 'application/octet-stream',
    })
    return `${this.download}/release-assets/${asset.id}/${asset.name}?${query}`
  }

  /** The asset that a signed address is of. */
  requested({ address, request }: Visit): StoredAsset | undefined {
    const asset = this.signatures.get(address.searchParams.get('sig') ?? '')
    if (asset && request.headers.range === undefined) asset.downloads++
    return asset
  }

  async remove(...assets: readonly StoredAsset[]): Promise<void> {
    for (const asset of assets) await rm(asset.file, { force: true })
  }
}

function refuse(release: StoredRelease, name: string, length: number, contentType: string | undefined): void {
  if (release.immutable) throw new Refusal(422, 'Cannot upload assets to an immutable release.')
  if (!(length > 0)) throw new Refusal(400, 'Bad Content-Length')
  const resource = 'ReleaseAsset'
  if (!contentType) throw validationFailed({ resource, code: 'missing_field', field: 'content_type' })
  if (length >= TOO_BIG) {
    const message = `size must be less than or equal to ${TOO_BIG}`
    throw validationFailed({ resource, code: 'custom', field: 'size', message })
  }
  if (release.assets.some((asset) => asset.name === name)) {
    throw validationFailed({ resource, code: 'already_exists', field: 'name' })
  }
  if (release.assets.length >= MOST) {
    const message = `file_count limited to ${MOST} assets per release`
    throw validationFailed({ resource, code: 'custom', field: 'file_count', message })
  }
}

/** GitHub replaces some characters in a file's name with dots. */
function storedName(name: string): string {
  return name.replace(/[^\w.+@~-]+/g, '.').replace(/^\.(?=.)/, 'default.')
}

function digestLate(fault: Misbehaviour | undefined): number {
  // The answer to the upload itself is one reading.
  if (fault === 'digest-late') return 3
  return typeof fault === 'object' && 'digestLate' in fault ? fault.digestLate + 1 : 0
}
