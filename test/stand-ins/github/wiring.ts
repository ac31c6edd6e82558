import type { OpenAPIBackend } from 'openapi-backend'
import type { Addresses } from './addresses.ts'
import { Api } from './api.ts'
import { artifactOperations } from './artifact-operations.ts'
import { ArtifactService } from './artifact-service.ts'
import { ArtifactStore } from './artifact-store.ts'
import { AssetStore } from './assets.ts'
import { loadDescription } from './description.ts'
import { sendFile } from './downloads.ts'
import { Faults, type Place } from './faults.ts'
import { Front, type Handler, send } from './front.ts'
import { gitOperations } from './git-operations.ts'
import { bodyOf, Incoming } from './incoming.ts'
import { releaseOperations } from './release-operations.ts'
import { ReleaseStore } from './releases.ts'
import { Repository } from './repository.ts'
import { repositoryOperations } from './repository-operations.ts'
import { Tokens } from './tokens.ts'

/** The parts of a local GitHub. */
export interface Parts {
  readonly addresses: Addresses
  readonly front: Front
  readonly faults: Faults
  readonly tokens: Tokens
  readonly git: Repository
  readonly releases: ReleaseStore
  readonly assets: AssetStore
  readonly artifacts: ArtifactStore
  readonly service: ArtifactService
}

/** The prefix of upload paths, as on an Enterprise Server: a client that builds the URL itself fails. */
const UPLOADS = '/api/uploads'

/** One for all local GitHubs of a process: it takes half a second. */
let description: Promise<OpenAPIBackend> | undefined

/** Puts a local GitHub together and lets it listen. `folder`: for the bytes of assets and artifacts. */
export async function open(
  folder: string,
  settings: { readonly repository: string; readonly isPrivate: boolean; readonly immutable: boolean },
): Promise<Parts> {
  const faults = new Faults()
  const front = new Front(faults)
  const handlers = new Map<Place, Handler>()
  const at = (place: Place) =>
    front.open(place, (visit) => {
      const handler = handlers.get(place)
      if (!handler) throw new Error(`the local GitHub’s ${place} has not begun yet`)
      return handler(visit)
    })
  const addresses = {
    api: await at('api'),
    upload: `${await at('upload')}${UPLOADS}`,
    download: await at('download'),
    results: await at('artifact'),
    blob: await at('blob'),
    // Nothing requests GitHub's pages for people.
    web: 'https://github.com',
  }
  const git = new Repository(settings.repository, settings.isPrivate)
  const tokens = new Tokens()
  const releases = new ReleaseStore(git, settings.immutable)
  const assets = new AssetStore(git, folder, addresses.download)
  const artifacts = new ArtifactStore(folder, addresses.blob)
  const service = new ArtifactService(artifacts)
  const operations = {
    ...releaseOperations(addresses, git, releases, assets),
    ...gitOperations(addresses, git, releases),
    ...repositoryOperations(addresses, git),
    ...artifactOperations(addresses, git, artifacts),
  }
  description ??= loadDescription(Object.keys(operations))
  const api = new Api(await description, operations, git, tokens)

  handlers.set('api', async (visit) => {
    send(visit, await api.answer(visit.request, visit.address, await bodyOf(visit.request)))
  })
  handlers.set('upload', async (visit) => {
    const incoming = new Incoming(visit.request, visit.fault, (bytes) => {
      visit.log.bytes = bytes
    })
    const answer = await api.answer(visit.request, new URL(visit.address.href.replace(UPLOADS, '')), incoming)
    // The refused content is still arriving.
    visit.request.resume()
    send(visit, answer)
  })
  handlers.set('download', (visit) => sendFile(visit, assets.requested(visit)))
  handlers.set('artifact', (visit) => service.visit(visit))
  handlers.set('blob', (visit) => artifacts.visit(visit))
  return { addresses, front, faults, tokens, git, releases, assets, artifacts, service }
}
