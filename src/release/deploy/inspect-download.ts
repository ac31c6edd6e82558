import { access, constants } from 'node:fs/promises'
import type { Release } from '../../github/release.ts'
import type { DeployPolicy } from '../../host/deploy-script.ts'
import { SeederError } from '../../report/error.ts'
import type { Contents } from '../format/contents.ts'
import { downloadedFiles } from '../verify/image-files.ts'
import { requireSound, verifyImage } from '../verify/verify-image.ts'

/** A release of which everything but the disk is in `folder`. */
export interface DownloadedRelease {
  readonly folder: string
  readonly contents: Contents
  readonly release: Release
}

/**
 * Verifies a release before its disk is downloaded: also its test, as a release becomes a full one by a click as well.
 * The signers are those of the host's policy, else those of the project (`ofProject`, a file). deploy.sh verifies the
 * signature in any case.
 * @returns a line about the signature
 * @throws SeederError when the host will not take the release
 */
export async function inspectDownload(
  { folder, contents, release }: DownloadedRelease,
  policy: DeployPolicy | undefined,
  ofProject: string | undefined,
): Promise<string> {
  const ofHost = policy && (await isReadable(policy.allowedSigners)) ? policy.allowedSigners : undefined
  const { findings, signer } = await verifyImage(await downloadedFiles(folder, contents), ofHost ?? ofProject)
  const isUnsigned = findings.some(({ kind }) => kind === 'unsigned')
  if (isUnsigned && policy?.allowUnsigned === false) {
    throw new SeederError(
      `${contents.image} ${contents.version} is not signed, and this host takes signed images`,
      { fix: 'raise the revision, and publish that with a key (SEEDER_SIGNING_KEY or --key)' },
    )
  }
  requireSound(release, findings, true)
  if (isUnsigned) {
    return policy
      ? 'not signed, and this host takes images without a signature'
      : 'not signed; deploy.sh decides whether it takes it'
  }
  return signer === undefined ? 'signed; deploy.sh checks by whom' : `signed by ${signer}`
}

async function isReadable(file: string): Promise<boolean> {
  return access(file, constants.R_OK).then(
    () => true,
    () => false,
  )
}
