import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import type { Releases } from '../../github/release.ts'
import type { Argv } from '../../host/commands.ts'
import { parseDeployResult } from '../../host/deploy-result.ts'
import {
  DEPLOY_CONF,
  type DeployPolicy,
  readDeployPolicy,
  requireSudo,
  runDeployScript,
} from '../../host/deploy-script.ts'
import { describeError, SeederError, UsageError } from '../../report/error.ts'
import type { RunContext } from '../../report/progress.ts'
import { chooseRelease } from '../channel/choice.ts'
import { placesOf, removeDownload } from '../download/download-folder.ts'
import { fetchRelease } from '../download/fetch.ts'
import type { Contents } from '../format/contents.ts'
import { inspectDownload } from './inspect-download.ts'

export interface DeployRequest {
  readonly image: string
  /** `promoted`, `candidate`, or a version. */
  readonly which: string
  readonly storage: string | undefined
  readonly dryRun: boolean
  /** Whether the download stays in the cache. */
  readonly keepDownload: boolean
  /** The command of deploy.sh (`deployScript`). */
  readonly script: Argv
  /** Seeder's cache folder. */
  readonly cache: string
  /** The project's file with those who may sign. */
  readonly allowedSigners: string | undefined
}

export const deployResultSchema = z
  .object({
    image: z.string(),
    version: z.string(),
    /** The template; null in a plan when it does not exist yet. */
    vmid: z.int().nullable(),
    /** Whether the current template changed; in a plan, whether it would change. */
    changed: z.boolean(),
    /** The template that was current before; null without one, and when a plan does not know it. */
    before: z.int().nullable(),
    /** The Proxmox node. */
    host: z.string(),
  })
  .readonly()

export type DeployResult = z.output<typeof deployResultSchema>

/**
 * Deploys a release to this host: downloads it, and lets deploy.sh make a template of it.
 * @throws SeederError when there is no such release, a verification or deploy.sh fails; UsageError for a storage that
 * deploy.sh rejects
 */
export async function deployRelease(
  releases: Releases,
  request: DeployRequest,
  { progress, signal }: RunContext,
): Promise<DeployResult> {
  const policy = await readDeployPolicy()
  const options = deployOptions(request, policy)
  await requireSudo(request.script)
  progress.phase('find the release')
  const release = chooseRelease(await releases.list(), request.image, request.which, releases.repository)
  progress.phase(`download ${release.tag}`)
  const folder = downloadFolder(request.cache, releases.repository, release.tag)
  const inspect = async (small: string, contents: Contents) => {
    const downloaded = { folder: small, contents, release }
    progress.note(await inspectDownload(downloaded, policy, request.allowedSigners))
  }
  return fetchRelease({ releases, release }, folder, { progress, signal, inspect }, async (contents) => {
    progress.phase(request.dryRun ? 'plan the template' : 'make the template')
    const argv: Argv = [...request.script, ...options, folder]
    const note = (line: string) => progress.note(line)
    const result = deployResult(await runDeployScript(argv, { note, signal }), contents, request.dryRun)
    if (!request.keepDownload) {
      // The template exists, so this is no failure.
      await removeDownload(placesOf(folder)).catch((error: unknown) => {
        progress.note(`the download could not be removed, and stays in ${folder}: ${describeError(error)}`)
      })
    }
    return result
  })
}

/** The folder for the download of a release. */
export function downloadFolder(cache: string, repository: string, tag: string): string {
  return join(cache, 'releases', repository, tag)
}

/**
 * The options for deploy.sh. Through sudo its policy decides about the storage: only the same one can be requested.
 * @throws UsageError for another one
 */
export function deployOptions(
  { storage, dryRun, script }: Pick<DeployRequest, 'storage' | 'dryRun' | 'script'>,
  policy: DeployPolicy | undefined,
): string[] {
  const options = ['--json', ...(dryRun ? ['--dry-run'] : [])]
  if (storage === undefined) return options
  if (script[0] !== 'sudo') return ['--storage', storage, ...options]
  if (storage === policy?.storage) return options
  throw new UsageError(
    `the storage ${storage} was requested; through sudo deploy.sh takes it from ${DEPLOY_CONF}, which ${
      policy === undefined ? 'cannot be read' : `names ${policy.storage ?? 'none'}`
    }`,
    { fix: `leave --storage out; or, as root on the host, write STORAGE=${storage} to ${DEPLOY_CONF}` },
  )
}

/** Reads the output of deploy.sh about the image. */
export function deployResult(printed: string, contents: Contents, dryRun: boolean): DeployResult {
  const { image, version, raw } = contents
  const [template, ...more] = parseDeployResult(printed)
  if (!template && dryRun) {
    return { image, version, vmid: null, changed: true, before: null, host: hostname() }
  }
  if (
    more.length > 0 ||
    template?.image !== image ||
    template.version !== version ||
    template.sha256 !== raw.sha256
  ) {
    throw new SeederError(`deploy.sh did not report a template of ${image} ${version}`, {
      fix: 'list the templates of the host: deploy.sh --list',
    })
  }
  const { vmid, changed, previous, node } = template
  return { image, version, vmid, changed, before: previous, host: node }
}
