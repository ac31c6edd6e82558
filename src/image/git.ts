import { execa } from '../process/child-process.ts'
import { UsageError } from '../report/error.ts'
import type { Changes } from './affected.ts'

/** What an image is made of. Other files, such as finished builds, may lie beside it. */
const SOURCES = ['platform.yaml', 'images', 'src', 'dist', 'package-lock.json']

/** The commit that definitions are of, null for none, and whether they were changed since. */
export interface SourceCommit {
  readonly commit: string | null
  readonly dirty: boolean
}

/** The commit a project folder is at, and whether its sources have changes; commit null where there is no git checkout. */
export async function readSource(project: string): Promise<SourceCommit> {
  const head = await execa('git', ['-C', project, 'rev-parse', 'HEAD'], { reject: false })
  if (head.exitCode !== 0) return { commit: null, dirty: false }
  const status = await execa('git', ['-C', project, 'status', '--porcelain', '--', ...SOURCES], {
    reject: false,
  })
  return { commit: head.stdout.trim(), dirty: status.stdout.trim() !== '' }
}

/**
 * What differs in a git checkout from where it left the commit or branch `since`, with what is not committed yet.
 * Paths are below `folder`. Throws UsageError when git does not know `since`.
 */
export function gitChanges(folder: string, since: string): Changes {
  const git = (...argv: string[]) => execa('git', ['-C', folder, ...argv], { reject: false })
  const left = async () => {
    const { exitCode, stdout, stderr } = await git('merge-base', since, 'HEAD')
    if (exitCode === 0) return stdout.trim()
    throw new UsageError(`git does not know where this checkout left ${since}: ${stderr || 'nowhere'}`, {
      fix: 'name a branch or a commit that is there; a shallow checkout may not have it (git fetch --unshallow)',
    })
  }
  return {
    async paths() {
      const from = await left()
      const changed = await git('diff', '--name-only', '--no-renames', '-z', '--relative', from)
      const added = await git('ls-files', '--others', '--exclude-standard', '-z')
      return [...changed.stdout.split('\0'), ...added.stdout.split('\0')].filter((path) => path !== '')
    },
    async before(path) {
      const { exitCode, stdout } = await git('show', `${await left()}:./${path}`)
      return exitCode === 0 ? stdout : undefined
    },
  }
}
