import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../../report/error.ts'

/** In the root of a project: who may sign its images, in the format of ssh-keygen(1), ALLOWED SIGNERS. */
const ALLOWED_SIGNERS_FILE = 'allowed_signers'

/**
 * The file with those who may sign: the named one, else the project's; undefined without one.
 * @throws UsageError when the named one does not exist
 */
export function findAllowedSigners(named: string | undefined, project: () => string): string | undefined {
  const file = named ?? join(project(), ALLOWED_SIGNERS_FILE)
  if (existsSync(file)) return file
  if (named === undefined) return undefined
  throw new UsageError(`--allowed-signers ${named} does not exist`, { fix: 'name an existing file' })
}

/** As `findAllowedSigners`, but throws UsageError without such a file. */
export function requireAllowedSigners(named: string | undefined, project: () => string): string {
  const file = findAllowedSigners(named, project)
  if (file !== undefined) return file
  throw new UsageError(`nobody may sign images: the project has no ${ALLOWED_SIGNERS_FILE}`, {
    fix: `put a line 'NAME namespaces="seeder" ssh-ed25519 KEY' in ${join(project(), ALLOWED_SIGNERS_FILE)}, or name a file with --allowed-signers`,
  })
}

/** Who may have signed a release. */
export interface SignatureCheck {
  /** The file with those who may sign; undefined to skip the signature. */
  readonly allowedSigners: string | undefined
  readonly allowUnsigned: boolean
}
