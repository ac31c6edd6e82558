import { access, constants } from 'node:fs/promises'
import type { DeployPolicy } from '../../host/deploy-script.ts'
import { SeederError } from '../../report/error.ts'
import type { Contents } from '../format/contents.ts'
import { SIGNATURE_FILE } from '../format/sums.ts'
import { verifySums } from './signature.ts'

/**
 * Checks the signature of a release before its disk is downloaded, where it is known who may sign: by the host's policy,
 * else by the project (`ofProject`, a file). What is not known here deploy.sh decides, which checks it in any case. Returns what was found, in
 * words.
 * @throws SeederError when the host will not take it
 */
export async function checkSignatureEarly(
  folder: string,
  contents: Contents,
  policy: DeployPolicy | undefined,
  ofProject: string | undefined,
): Promise<string> {
  const ofHost = policy && (await isReadable(policy.allowedSigners)) ? policy.allowedSigners : undefined
  const signers = ofHost ?? ofProject
  if (!contents.files.some(({ name }) => name === SIGNATURE_FILE)) {
    if (policy?.allowUnsigned) return 'not signed, and this host takes images without a signature'
    if (policy === undefined) return 'not signed; deploy.sh decides whether it takes it'
    throw new SeederError(
      `${contents.image} ${contents.version} is not signed, and this host takes signed images`,
      {
        fix: 'raise the revision, and publish that with a key (SEEDER_SIGNING_KEY or --key)',
      },
    )
  }
  if (signers === undefined) return 'signed; deploy.sh checks by whom'
  return `signed by ${await verifySums(folder, signers)}`
}

async function isReadable(file: string): Promise<boolean> {
  return access(file, constants.R_OK).then(
    () => true,
    () => false,
  )
}
