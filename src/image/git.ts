import { execa } from '../process/child-process.ts'
import { UsageError } from '../report/error.ts'
import type { Changes } from './affected.ts'

/** The sources of images. Changes to other files, such as finished builds, do not matter. */
const sources = ['platform.yaml', 'images', 'src', 'dist', 'package-lock.json']

/** The commit of the definitions, null without a git checkout, and whether they have uncommitted changes. */
export interface SourceCommit {
  readonly commit: string | null
  readonly dirty: boolean
}

/** Reads the commit of a project. */
export async function readSource(project: string): Promise<SourceCommit> {
  const head = await execa('git', ['-C', project, 'rev-parse', 'HEAD'], { reject: false })
  if (head.exitCode !== 0) return { commit: null, dirty: false }
  const status = await execa('git', ['-C', project, 'status', '--porcelain', '--', ...sources], {
    reject: false,
  })
  return { commit: head.stdout.trim(), dirty: status.stdout.trim() !== '' }
}

/**
 * The changes in a git checkout since it branched off from the commit or branch `since`, with uncommitted ones. Paths are
 * below `folder`.
 * @throws UsageError when git does not know `since`
 */
export function gitChanges(folder: string, since: string): Changes {
  const git = (...argv: string[]) => execa('git', ['-C', folder, ...argv], { reject: false })
  const mergeBase = async () => {
    const { exitCode, stdout, stderr } = await git('merge-base', since, 'HEAD')
    if (exitCode === 0) return stdout.trim()
    throw new UsageError(`git finds no common commit with ${since}: ${stderr || 'there is none'}`, {
      fix: 'name an existing branch or commit; a shallow checkout may not have it (git fetch --unshallow)',
    })
  }
  return {
    async paths() {
      const from = await mergeBase()
      const changed = await git('diff', '--name-only', '--no-renames', '-z', '--relative', from)
      const added = await git('ls-files', '--others', '--exclude-standard', '-z')
      return [...changed.stdout.split('\0'), ...added.stdout.split('\0')].filter((path) => path !== '')
    },
    async before(path) {
      const { exitCode, stdout } = await git('show', `${await mergeBase()}:./${path}`)
      return exitCode === 0 ? stdout : undefined
    },
  }
}
