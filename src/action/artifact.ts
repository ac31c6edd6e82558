import { basename, dirname, join } from 'node:path'
import { type ArtifactClient, DefaultArtifactClient } from '@actions/artifact'
import type { Manifest } from '../build/manifest.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'

/** An artifact of the workflow run. */
export interface WorkflowArtifact {
  readonly id: number
  readonly name: string
  /** Bytes. */
  readonly size: number
}

/** The artifact service, and how long it keeps artifacts. */
export interface ArtifactSettings {
  readonly env: NodeJS.ProcessEnv
  /** Undefined for the default of the repository. */
  readonly retentionDays: number | undefined
}

/**
 * Uploads the qcow2 file of an image, not zipped, as an artifact of the same name.
 * @throws SeederError outside a step of an action, when the upload fails, or when GitHub received another digest
 */
export async function uploadImage(
  folder: string,
  { qcow2 }: Pick<Manifest, 'qcow2'>,
  settings: ArtifactSettings,
): Promise<WorkflowArtifact> {
  const name = qcow2.file
  const { artifact, digest } = await upload({ name, folder, files: [name], isZipped: false }, settings)
  if (digest !== undefined && digest !== qcow2.sha256) {
    throw new SeederError(
      `uploaded the artifact ${name}: GitHub received another file (sha256 ${digest}, not ${qcow2.sha256})`,
      { fix: 'run the job again; if this repeats, look for a proxy that changes files on the way to GitHub' },
    )
  }
  return artifact
}

/** Uploads a file, not zipped, so that a browser can show a page. Throws as `uploadImage`. */
export async function uploadFile(file: string, settings: ArtifactSettings): Promise<WorkflowArtifact> {
  const name = basename(file)
  return (await upload({ name, folder: dirname(file), files: [name], isZipped: false }, settings)).artifact
}

/** Uploads files as a zip; `files` are paths below `folder`. Throws as `uploadImage`. */
export async function uploadFiles(
  name: string,
  folder: string,
  files: readonly string[],
  settings: ArtifactSettings,
): Promise<WorkflowArtifact> {
  return (await upload({ name, folder, files, isZipped: true }, settings)).artifact
}

/**
 * Downloads an artifact of this run into an empty folder. With `unzip` it unpacks the artifact, and no file leaves the folder.
 * @throws SeederError when it does not exist, has more than `maxBytes`, or has another digest than GitHub says
 */
export async function downloadArtifact(
  name: string,
  into: string,
  { maxBytes, unzip }: { readonly maxBytes: number; readonly unzip: boolean },
  env: NodeJS.ProcessEnv,
): Promise<void> {
  requireService(env)
  const client = new DefaultArtifactClient()
  const { artifact } = await orInterrupted(client.getArtifact(name)).catch((cause: unknown) => {
    interruption.throwIfAborted()
    throw new SeederError(`this run has no artifact ${name}, or the artifact service does not answer`, {
      fix: 'check that the job that builds and tests the image has passed, with artifact: true',
      cause,
    })
  })
  if (artifact.size > maxBytes) {
    throw new SeederError(
      `the artifact ${name} has ${artifact.size} bytes; at most ${maxBytes} are expected`,
      { fix: 'check which job uploaded it' },
    )
  }
  const { id, digest } = artifact
  const options = { path: into, skipDecompress: !unzip, ...(digest && { expectedHash: digest }) }
  const { digestMismatch } = await orInterrupted(client.downloadArtifact(id, options)).catch(
    (cause: unknown) => {
      interruption.throwIfAborted()
      throw new SeederError(`could not download the artifact ${name}`, { fix: 'run the job again', cause })
    },
  )
  if (!digestMismatch) return
  throw new SeederError(`downloaded the artifact ${name}: it is not the file that was uploaded`, {
    fix: 'run the job again',
  })
}

interface Upload {
  readonly name: string
  readonly folder: string
  /** Paths below `folder`; one file when it is not zipped. */
  readonly files: readonly string[]
  readonly isZipped: boolean
}

async function upload(
  { name, folder, files, isZipped }: Upload,
  { env, retentionDays }: ArtifactSettings,
): Promise<{ artifact: WorkflowArtifact; digest: string | undefined }> {
  requireService(env)
  const client = new DefaultArtifactClient()
  const options = { skipArchive: !isZipped, ...(retentionDays === undefined ? {} : { retentionDays }) }
  const paths = files.map((file) => join(folder, file))
  try {
    const attempt = () => orInterrupted(client.uploadArtifact(name, paths, folder, options))
    // An existing artifact of that name is from an earlier step of this run.
    const {
      id,
      size = 0,
      digest,
    } = await attempt().catch((error) => deleteExisting(client, name, error).then(attempt))
    if (id === undefined) throw new Error('the service returned no id')
    return { artifact: { id, name, size }, digest }
  } catch (cause) {
    interruption.throwIfAborted()
    throw new SeederError(
      `could not upload the artifact ${name}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { fix: 'run the job again; the storage for artifacts may be used up (billing page)', cause },
    )
  }
}

/** Rejects at an interruption. The client cannot be stopped; what it still sends or writes is never used. */
function orInterrupted<T>(transfer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Error('stopped'))
    interruption.addEventListener('abort', stop, { once: true })
    transfer.then(resolve, reject).finally(() => interruption.removeEventListener('abort', stop))
  })
}

async function deleteExisting(client: ArtifactClient, name: string, error: unknown): Promise<void> {
  // The client throws plain errors: only the message identifies a conflict.
  const exists = error instanceof Error && /already exists|conflict/i.test(error.message)
  if (!exists) throw error
  await client.deleteArtifact(name)
}

// The runner sets these variables for a JavaScript action, not for `run:`.
function requireService(env: NodeJS.ProcessEnv): void {
  if (env.ACTIONS_RUNTIME_TOKEN && env.ACTIONS_RESULTS_URL) return
  throw new SeederError('there is no artifact service here: ACTIONS_RUNTIME_TOKEN is not set', {
    fix: 'leave `artifact` out unless this runs as a step of a workflow on GitHub',
  })
}
