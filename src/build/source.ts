import { execa } from '../process/child-process.ts'

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
