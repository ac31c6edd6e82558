import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { ArtifactStore, Job, StoredArtifact } from './artifact-store.ts'
import type { Answer } from './exchange.ts'
import { send, type Visit } from './front.ts'
import { bodyOf } from './incoming.ts'

const ids = { workflow_run_backend_id: z.string(), workflow_job_run_backend_id: z.string() }
const requests = {
  // Version 7 is what the client says since it can upload a file as it is.
  CreateArtifact: z.object({ ...ids, name: z.string(), version: z.literal(7), mime_type: z.string() }),
  FinalizeArtifact: z.object({ ...ids, name: z.string(), size: z.string(), hash: z.string().optional() }),
  ListArtifacts: z.object({ ...ids, name_filter: z.string().optional(), id_filter: z.string().optional() }),
  GetSignedArtifactURL: z.object({ ...ids, name: z.string() }),
  DeleteArtifact: z.object({ ...ids, name: z.string() }),
}

/** A refusal as Twirp has it. */
class TwirpError extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** The artifact service that the real @actions/artifact uses. */
export class ArtifactService {
  private readonly store: ArtifactStore
  private readonly jobs = new Map<string, Job>()

  constructor(store: ArtifactStore) {
    this.store = store
  }

  /** A token for a job of a run; each call is another job. */
  token(run: string): string {
    const job = { run, job: randomUUID() }
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = { scp: `Actions.ExampleScope Actions.Results:${job.run}:${job.job}`, exp: 4_102_444_800 }
    const token = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}.${part(randomUUID())}`
    this.jobs.set(token, job)
    return token
  }

  async visit(visit: Visit): Promise<void> {
    const method = /^\/twirp\/github\.actions\.results\.api\.v1\.ArtifactService\/(\w+)$/.exec(
      visit.log.path,
    )?.[1]
    const body = await bodyOf(visit.request)
    try {
      const job = this.jobs.get(visit.request.headers.authorization?.replace('Bearer ', '') ?? '')
      if (!job) throw new TwirpError(401, 'unauthenticated', 'invalid token')
      send(visit, { status: 200, body: await this.call(job, method, JSON.parse(body)) })
    } catch (error) {
      if (!(error instanceof TwirpError)) throw error
      const refusal: Answer = { status: error.status, body: { code: error.code, msg: error.message } }
      send(visit, refusal)
    }
  }

  private async call(job: Job, method: string | undefined, body: unknown): Promise<unknown> {
    switch (method) {
      case 'CreateArtifact': {
        const { name, mime_type } = own(job, requests.CreateArtifact, body)
        if (this.find(job, name)) {
          throw new TwirpError(
            409,
            'already_exists',
            'an artifact with this name already exists on the workflow run',
          )
        }
        return { ok: true, signed_upload_url: this.store.sign(this.store.make(job, name, mime_type), 'PUT') }
      }
      case 'FinalizeArtifact': {
        const { name, size, hash } = own(job, requests.FinalizeArtifact, body)
        const artifact = this.wanted(job, name)
        if (Number(size) !== artifact.size || (hash !== undefined && hash !== `sha256:${artifact.sha256}`)) {
          throw new TwirpError(400, 'invalid_argument', 'the content is not what was announced')
        }
        artifact.finished = true
        return { ok: true, artifact_id: String(artifact.id) }
      }
      case 'ListArtifacts': {
        const { name_filter: name, id_filter: id } = own(job, requests.ListArtifacts, body)
        const found = this.store.artifacts.filter((each) => each.finished && each.job.run === job.run)
        const matching = found.filter((each) => [undefined, each.name].includes(name))
        return { artifacts: matching.filter((each) => [undefined, String(each.id)].includes(id)).map(listed) }
      }
      case 'GetSignedArtifactURL': {
        const { name } = own(job, requests.GetSignedArtifactURL, body)
        return { signed_url: this.store.sign(this.wanted(job, name), 'GET') }
      }
      case 'DeleteArtifact': {
        const artifact = this.wanted(job, own(job, requests.DeleteArtifact, body).name)
        await this.store.remove(artifact)
        return { ok: true, artifact_id: String(artifact.id) }
      }
      default:
        throw new Error(`the local artifact service has no ${method}`)
    }
  }

  private find(job: Job, name: string): StoredArtifact | undefined {
    return this.store.artifacts.find((each) => each.name === name && each.job.run === job.run)
  }

  private wanted(job: Job, name: string): StoredArtifact {
    const found = this.find(job, name)
    if (!found) throw new TwirpError(404, 'not_found', 'artifact not found')
    return found
  }
}

/** A request of a job, which its token identifies. */
function own<T extends { workflow_run_backend_id: string }>(
  job: Job,
  schema: z.ZodType<T>,
  body: unknown,
): T {
  const parsed = schema.parse(body)
  if (parsed.workflow_run_backend_id === job.run) return parsed
  throw new TwirpError(403, 'permission_denied', 'the token is of another run')
}

function listed(artifact: StoredArtifact) {
  return {
    workflow_run_backend_id: artifact.job.run,
    workflow_job_run_backend_id: artifact.job.job,
    database_id: String(artifact.id),
    name: artifact.name,
    size: String(artifact.size),
    created_at: artifact.createdAt,
    digest: `sha256:${artifact.sha256}`,
  }
}
