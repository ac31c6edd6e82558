import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { manifestName } from '../../build/manifest.ts'
import { readText } from '../../files/text-file.ts'
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
import type { Progress } from '../../report/progress.ts'
import { chooseRelease } from '../channel/choice.ts'
import { placesOf, removeDownload } from '../download/download-folder.ts'
import { fetchRelease } from '../download/fetch.ts'
import type { Contents } from '../format/contents.ts'
import { requireTested } from '../format/test-evidence.ts'
import { REPORT_FILE } from '../format/test-report.ts'
import { checkSignatureEarly } from '../signature/early-signature.ts'

/** What is to be deployed to this host, and how. */
export interface DeployRequest {
  readonly image: string
  /** `promoted`, `candidate`, or a version. */
  readonly which: string
  readonly storage: string | undefined
  readonly dryRun: boolean
  /** The download stays in the cache. */
  readonly keepDownload: boolean
  /** How deploy.sh is started (`deployScript`). */
  readonly script: Argv
  /** Seeder's cache folder. */
  readonly cache: string
  /** The project's file with those who may sign, if it has one. */
  readonly allowedSigners: string | undefined
}

export const deployResultSchema = z
  .object({
    image: z.string(),
    version: z.string(),
    /** The template; null for a plan of one that does not exist yet. */
    vmid: z.int().nullable(),
    /** Whether another template is the current one now; of a plan, whether one would be. */
    changed: z.boolean(),
    /** The template that was current before; null when there was none, or it is not known in a plan. */
    before: z.int().nullable(),
    /** The Proxmox node. */
    host: z.string(),
  })
  .readonly()

export type DeployResult = z.output<typeof deployResultSchema>

/**
 * Deploys a release to the host that this runs on: downloads it, and lets deploy.sh make a template of it.
 * @throws SeederError when there is no such release, it is not right, or deploy.sh fails; UsageError for a storage that
 * deploy.sh will not take
 */
export async function deployRelease(
  releases: Releases,
  request: DeployRequest,
  { progress, signal }: { progress: Progress; signal: AbortSignal },
): Promise<DeployResult> {
  const policy = await readDeployPolicy()
  const options = deployOptions(request, policy)
  await requireSudo(request.script)
  progress.phase('find the release')
  const release = chooseRelease(await releases.list(), request.image, request.which, releases.repository)
  progress.phase(`download ${release.tag}`)
  const folder = downloadFolder(request.cache, releases.repository, release.tag)
  const inspect = async (small: string, contents: Contents) => {
    progress.note(await checkSignatureEarly(small, contents, policy, request.allowedSigners))
    const read = (name: string) => readText(join(small, name))
    // A release becomes a full one by a click as well, and then nobody has looked at these.
    requireTested(release, contents, {
      manifest: await read(manifestName(contents)),
      report: await read(REPORT_FILE),
    })
  }
  return fetchRelease(releases, release, folder, { progress, signal, inspect }, async (contents) => {
    progress.phase(request.dryRun ? 'plan the template' : 'make the template')
    const argv: Argv = [...request.script, ...options, folder]
    const note = (line: string) => progress.note(line)
    const result = deployResult(await runDeployScript(argv, { note, signal }), contents, request.dryRun)
    if (!request.keepDownload) {
      // The template is there, whatever becomes of the download.
      await removeDownload(placesOf(folder)).catch((error: unknown) => {
        progress.note(`the download could not be removed, and stays in ${folder}: ${describeError(error)}`)
      })
    }
    return result
  })
}

/** Where a release is downloaded to. */
export function downloadFolder(cache: string, repository: string, tag: string): string {
  return join(cache, 'releases', repository, tag)
}

/**
 * The options for deploy.sh. Through sudo it takes none that its policy is about: a storage may be named there only
 * when it is the one that the policy names.
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

/** What deploy.sh has printed about the image. */
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
    throw new SeederError(`deploy.sh did not say that it made a template of ${image} ${version}`, {
      fix: 'see what there is on the host: deploy.sh --list',
    })
  }
  const { vmid, changed, previous, node } = template
  return { image, version, vmid, changed, before: previous, host: node }
}
