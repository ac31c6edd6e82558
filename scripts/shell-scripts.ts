import { open } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'

/**
 * The shell scripts of a git checkout, relative to it and sorted: files called *.sh, files with a shebang of sh or
 * bash, and files that begin with `# shellcheck shell=`, committed or not yet, but not ignored ones.
 */
export async function findShellScripts(checkout: string): Promise<string[]> {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  // Root may test a checkout of another user, which git refuses to read by default.
  const { stdout } = await execa('git', ['-c', 'safe.directory=*', ...list], { cwd: checkout })
  const files = stdout.split('\0').filter((file) => file !== '')
  const found = await Promise.all(files.map((file) => isShellScript(path.join(checkout, file))))
  return files.filter((_, index) => found[index]).sort()
}

async function isShellScript(file: string): Promise<boolean> {
  const start = await firstBytes(file, 64)
  if (start === undefined) return false
  return (
    file.endsWith('.sh') ||
    start.startsWith('# shellcheck shell=') ||
    /^#!\s*(\/usr)?\/bin\/(env\s+)?(ba|da)?sh\b/.test(start)
  )
}

async function firstBytes(file: string, length: number): Promise<string | undefined> {
  // git also lists files whose deletion is not committed.
  const handle = await open(file).catch(() => undefined)
  if (handle === undefined) return undefined
  await using opened = handle
  const stats = await opened.stat()
  if (!stats.isFile()) return undefined
  const { buffer, bytesRead } = await opened.read(Buffer.alloc(length), 0, length, 0)
  return buffer.toString('latin1', 0, bytesRead)
}
