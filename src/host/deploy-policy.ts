import { readFile } from 'node:fs/promises'

/** Where the policy of deploy.sh is. Only root may change it, everybody may read it. */
export const deployConf = '/etc/seeder/deploy.conf'

/** What of deploy.sh's policy can be known before it runs. It is deploy.sh that decides. */
export interface DeployPolicy {
  /** The only storage that templates may go to; undefined when the policy names none. */
  readonly storage: string | undefined
  /** The file with those who may sign images. */
  readonly allowedSigners: string
  readonly allowUnsigned: boolean
}

/** The policy of this host; deploy.sh's own default where there is no such file. Undefined when it cannot be read. */
export async function readDeployPolicy(file = deployConf): Promise<DeployPolicy | undefined> {
  try {
    return parseDeployPolicy(await readFile(file, 'utf8'))
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    return isAbsent ? parseDeployPolicy('') : undefined
  }
}

/** KEY=value lines, as deploy.sh reads them: the first one of a key that has a value counts. */
export function parseDeployPolicy(text: string): DeployPolicy {
  const settingOf = (key: string) => new RegExp(`^${key}=([^\\r\\n]+)`, 'm').exec(text)?.[1]
  return {
    storage: settingOf('STORAGE'),
    allowedSigners: settingOf('ALLOWED_SIGNERS') ?? '/etc/seeder/allowed_signers',
    allowUnsigned: settingOf('ALLOW_UNSIGNED') === '1',
  }
}
