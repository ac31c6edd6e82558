import { randomBytes, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Download, sendFile } from './downloads.ts'
import { send, type Visit } from './front.ts'
import { Incoming } from './incoming.ts'
import { now } from './repository.ts'
import { writeSparse } from './sparse-file.ts'

/** A job of a workflow's run, as the artifact service knows it. */
export interface Job {
  readonly run: string
  readonly job: string
}

export interface StoredArtifact {
  readonly id: number
  readonly job: Job
  readonly name: string
  readonly mimeType: string
  readonly createdAt: string
  /** Its content has been uploaded and its upload ended. */
  finished: boolean
  /** Bytes. */
  size: number
  /** In hex. */
  sha256: string
  /** Where the bytes are. */
  readonly file: string
}

/** The content of artifacts: storage of blobs that are put together of blocks, as Azure has it. */
export class ArtifactStore {
  readonly artifacts: StoredArtifact[] = []
  /** The number of artifacts ever created: the id of a removed one is not used again. */
  private made = 0
  private readonly folder: string
  private readonly url: string
  private readonly signatures = new Map<
    string,
    { readonly artifact: StoredArtifact; readonly verb: 'PUT' | 'GET' }
  >()
  /** Of artifacts that are being uploaded: the files of the blocks by their ids. */
  private readonly blocks = new Map<StoredArtifact, Map<string, string>>()

  /** `url`: of the storage. */
  constructor(folder: string, url: string) {
    this.folder = folder
    this.url = url
  }

  make(job: Job, name: string, mimeType: string): StoredArtifact {
    const id = ++this.made
    const artifact = {
      id,
      job,
      name,
      mimeType,
      createdAt: now(),
      finished: false,
      size: 0,
      sha256: '',
      file: join(this.folder, `artifact-${id}`),
    }
    this.artifacts.push(artifact)
    return artifact
  }

  /** Where the content can be put or got without a token. */
  sign(artifact: StoredArtifact, verb: 'PUT' | 'GET'): string {
    const signature = randomBytes(12).toString('hex')
    this.signatures.set(signature, { artifact, verb })
    const name = verb === 'PUT' ? `${artifact.id}` : fileName(artifact)
    // Account, container and blob are in the path for a host that is a number.
    return `${this.url}/results/actions-results/${name}?sig=${signature}&sv=2025-11-05`
  }

  async remove(artifact: StoredArtifact): Promise<void> {
    this.artifacts.splice(this.artifacts.indexOf(artifact), 1)
    await rm(artifact.file, { force: true })
  }

  /** A request to the storage. */
  async visit(visit: Visit): Promise<void> {
    const { request, address, fault, log } = visit
    const signed = this.signatures.get(address.searchParams.get('sig') ?? '')
    if (request.method === 'GET') {
      return sendFile(visit, signed?.verb === 'GET' ? download(signed.artifact) : undefined)
    }
    if (request.headers.authorization !== undefined || signed?.verb !== 'PUT') {
      return send(visit, { status: 403, body: 'AuthenticationFailed' })
    }
    const incoming = new Incoming(request, fault, (bytes) => {
      log.bytes = bytes
    })
    const made = { etag: '"0x1"', 'last-modified': new Date().toUTCString(), 'x-ms-request-id': randomUUID() }
    await this.put(signed.artifact, address.searchParams, incoming)
    send(visit, { status: 201, headers: { ...made, 'x-ms-version': '2025-11-05' } })
  }

  private async put(artifact: StoredArtifact, query: URLSearchParams, incoming: Incoming): Promise<void> {
    const blocks = this.blocks.get(artifact) ?? new Map<string, string>()
    this.blocks.set(artifact, blocks)
    switch (query.get('comp')) {
      case 'block': {
        const file = `${artifact.file}-${randomUUID()}`
        await writeSparse(file, incoming.bytes())
        blocks.set(query.get('blockid') ?? '', file)
        return
      }
      case 'blocklist': {
        const wanted = [...(await text(incoming.bytes())).matchAll(/<Latest>(.*?)<\/Latest>/g)].map(
          ([, id = '']) => id,
        )
        const files = wanted.map((id) => blocks.get(id) ?? unknown(id))
        Object.assign(artifact, await writeSparse(artifact.file, joined(files)))
        for (const file of blocks.values()) await rm(file)
        this.blocks.delete(artifact)
        return
      }
      default:
        Object.assign(artifact, await writeSparse(artifact.file, incoming.bytes()))
    }
  }
}

async function* joined(files: readonly string[]): AsyncIterable<Buffer> {
  for (const file of files) yield* createReadStream(file) as AsyncIterable<Buffer>
}

function download(artifact: StoredArtifact): Download {
  return {
    file: artifact.file,
    size: artifact.size,
    contentType: artifact.mimeType,
    name: fileName(artifact),
  }
}

function fileName(artifact: StoredArtifact): string {
  return artifact.mimeType === 'application/zip' && !artifact.name.endsWith('.zip')
    ? `${artifact.name}.zip`
    : artifact.name
}

function unknown(id: string): never {
  throw new Error(`the list has a block ${id} that was not put`)
}
