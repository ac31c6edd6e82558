import { basename, dirname, join } from 'node:path'
import { type ArtifactClient, DefaultArtifactClient } from '@actions/artifact'
import type { Manifest } from '../build/manifest.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'

/** An artifact of the workflow's run. */
export interface WorkflowArtifact {
  readonly id: number
  readonly name: string
  /** Bytes. */
  readonly size: number
}

/** Where artifacts go, and how long they stay. */
export interface ArtifactSettings {
  readonly env: NodeJS.ProcessEnv
  /** Undefined: as long as the repository says. */
  readonly retentionDays: number | undefined
}

/**
 * Uploads a finished image as it is, not zipped: an artifact named as the qcow2 file.
 * @throws SeederError when this is no step of an action, the upload fails, or something else has arrived
 */
export async function uploadImage(
  folder: string,
  { qcow2 }: Pick<Manifest, 'qcow2'>,
  settings: ArtifactSettings,
): Promise<WorkflowArtifact> {
  const { artifact, digest } = await upload(qcow2.file, [join(folder, qcow2.file)], folder, settings, {
    skipArchive: true,
  })
  if (digest !== undefined && digest !== qcow2.sha256) {
    throw new SeederError(
      `${qcow2.file} was uploaded, and something else has arrived (sha256 ${digest}, not ${qcow2.sha256})`,
      { fix: 'run the job again; if it stays so, something between the runner and GitHub changes files' },
    )
  }
  return artifact
}

/** Uploads one file as it is, not zipped: a browser can show a page. Throws as `uploadImage`. */
export async function uploadFile(file: string, settings: ArtifactSettings): Promise<WorkflowArtifact> {
  const { artifact } = await upload(basename(file), [file], dirname(file), settings, { skipArchive: true })
  return artifact
}

/** Uploads small files, zipped; `files` are paths below `folder`. Throws as `uploadImage`. */
export async function uploadFiles(
  name: string,
  folder: string,
  files: readonly string[],
  settings: ArtifactSettings,
): Promise<WorkflowArtifact> {
  const { artifact } = await upload(
    name,
    files.map((file) => join(folder, file)),
    folder,
    settings,
    {},
  )
  return artifact
}

/**
 * Downloads an artifact of this run into an empty folder, as it came; with `unzip` what is in it. Names in a zip stay below
 * that folder.
 * @throws SeederError when it is not there, has more than `most` bytes, or something else has arrived
 */
export async function downloadArtifact(
  name: string,
  into: string,
  { most, unzip }: { readonly most: number; readonly unzip: boolean },
  env: NodeJS.ProcessEnv,
): Promise<void> {
  requireService(env)
  const client = new DefaultArtifactClient()
  const { artifact } = await untilStopped(client.getArtifact(name)).catch((cause: unknown) => {
    interruption.throwIfAborted()
    throw new SeederError(`this run has no artifact ${name}, or it cannot be looked for`, {
      fix: 'see whether the job that builds and tests it was done, and passed, with artifact: true',
      cause,
    })
  })
  if (artifact.size > most) {
    throw new SeederError(`the artifact ${name} has ${artifact.size} bytes; at most ${most} are expected`, {
      fix: 'see which job has uploaded it',
    })
  }
  const { id, digest } = artifact
  const options = { path: into, skipDecompress: !unzip, ...(digest && { expectedHash: digest }) }
  const { digestMismatch } = await untilStopped(client.downloadArtifact(id, options)).catch(
    (cause: unknown) => {
      interruption.throwIfAborted()
      throw new SeederError(`could not download the artifact ${name}`, { fix: 'run the job again', cause })
    },
  )
  if (!digestMismatch) return
  throw new SeederError(`${name} came as something else than was uploaded`, { fix: 'run the job again' })
}

async function upload(
  name: string,
  files: string[],
  folder: string,
  { env, retentionDays }: ArtifactSettings,
  how: { skipArchive?: boolean },
): Promise<{ artifact: WorkflowArtifact; digest: string | undefined }> {
  requireService(env)
  const client = new DefaultArtifactClient()
  const options = { ...how, ...(retentionDays === undefined ? {} : { retentionDays }) }
  try {
    const attempt = () => untilStopped(client.uploadArtifact(name, files, folder, options))
    // An artifact of that name is of an earlier step of this run, and older.
    const {
      id,
      size = 0,
      digest,
    } = await attempt().catch((error) => makeRoom(client, name, error).then(attempt))
    if (id === undefined) throw new Error('the service gave it no id')
    return { artifact: { id, name, size }, digest }
  } catch (cause) {
    interruption.throwIfAborted()
    throw new SeederError(
      `could not upload the artifact ${name}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { fix: 'run the job again; the storage for artifacts may be used up (billing page)', cause },
    )
  }
}

/** The client cannot be stopped: it is left alone, and what it still sends or writes is never used. */
function untilStopped<T>(transfer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error('stopped'))
    interruption.addEventListener('abort', stop, { once: true })
    transfer.then(resolve, reject).finally(() => interruption.removeEventListener('abort', stop))
  })
}

async function makeRoom(client: ArtifactClient, name: string, error: unknown): Promise<void> {
  const taken = error instanceof Error && /already exists|conflict/i.test(error.message)
  if (!taken) throw error
  await client.deleteArtifact(name)
}

// The runner gives these to a JavaScript action only, not to `run:`.
function requireService(env: NodeJS.ProcessEnv): void {
  if (env.ACTIONS_RUNTIME_TOKEN && env.ACTIONS_RESULTS_URL) return
  throw new SeederError('there is no artifact service here: ACTIONS_RUNTIME_TOKEN is not set', {
    fix: 'leave `artifact` out when this does not run as a step of a workflow on GitHub',
  })
}
