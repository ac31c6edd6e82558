import { execa } from 'execa'

/** The commit a project folder is at, and whether it has changes; commit null where there is no git checkout. */
export async function readSource(project: string): Promise<{ commit: string | null; dirty: boolean }> {
  const head = await execa('git', ['-C', project, 'rev-parse', 'HEAD'], { reject: false })
  if (head.exitCode !== 0) return { commit: null, dirty: false }
  const status = await execa('git', ['-C', project, 'status', '--porcelain'], { reject: false })
  return { commit: head.stdout.trim(), dirty: status.stdout.trim() !== '' }
}
