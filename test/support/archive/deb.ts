import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'

/** What a package of a test archive is: its control fields and its files (path in the package → text). */
export interface DebSource {
  readonly name: string
  readonly version: string
  readonly depends?: string
  readonly essential?: boolean
  readonly files?: Readonly<Record<string, string>>
}

/** Builds `NAME_VERSION_amd64.deb` in `folder` (which is also where its tree is left) and returns the file's path. */
export async function buildDeb(folder: string, source: DebSource): Promise<string> {
  const tree = join(folder, `${source.name}_${source.version}`)
  const control = [
    `Package: ${source.name}`,
    `Version: ${source.version}`,
    'Architecture: amd64',
    'Maintainer: Nobody <nobody@example.internal>',
    ...(source.depends ? [`Depends: ${source.depends}`] : []),
    ...(source.essential ? ['Essential: yes'] : []),
    `Description: ${source.name}, made by a test`,
    '',
  ]
  const files = { 'DEBIAN/control': control.join('\n'), ...source.files }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(tree, path)), { recursive: true })
    await writeFile(join(tree, path), text)
  }
  // dpkg-deb refuses a control folder that only its owner may read.
  await chmod(join(tree, 'DEBIAN'), 0o755)
  const file = `${tree}_amd64.deb`
  await execa('dpkg-deb', ['--root-owner-group', '--build', tree, file])
  return file
}
