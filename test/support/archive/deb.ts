import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'

/** A file of a package: its text, a file of this machine that it is a copy of, executable if that one is, or a link. */
export type DebFile = string | { readonly copyOf: string } | { readonly linkTo: string }

/** What a package of a test archive is: its control fields and its files (path in the package → content). */
export interface DebSource {
  readonly name: string
  readonly version: string
  readonly depends?: string
  readonly essential?: boolean
  /** Other fields of its control file. */
  readonly fields?: Readonly<Record<string, string>>
  readonly files?: Readonly<Record<string, DebFile>>
}

/**
 * Builds `NAME_VERSION_amd64.deb` in `folder` (which is also where its tree is left) and returns the file's path.
 * The same source gives the same bytes: what it is made of has no time.
 */
export async function buildDeb(folder: string, source: DebSource): Promise<string> {
  const tree = join(folder, `${source.name}_${source.version}`)
  const fields = {
    Package: source.name,
    Version: source.version,
    Architecture: 'amd64',
    Maintainer: 'Nobody <nobody@example.internal>',
    ...(source.depends ? { Depends: source.depends } : {}),
    ...(source.essential ? { Essential: 'yes' } : {}),
    ...source.fields,
    Description: `${source.name}, made by a test`,
  }
  const control = Object.entries(fields).map(([key, value]) => `${key}: ${value}\n`)
  const files: Record<string, DebFile> = { 'DEBIAN/control': control.join(''), ...source.files }
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(tree, path)), { recursive: true })
    if (typeof content === 'string') await writeFile(join(tree, path), content)
    else if ('linkTo' in content) await symlink(content.linkTo, join(tree, path))
    else await copyFile(content.copyOf, join(tree, path))
  }
  // Whoever runs the tests may have another umask, and dpkg-deb keeps modes.
  await execa('chmod', ['-R', 'u=rwX,go=rX', tree])
  return packDeb(tree)
}

/** Packs a tree with its DEBIAN folder as `TREE_amd64.deb`, and returns the file's path. */
export async function packDeb(tree: string): Promise<string> {
  const file = `${tree}_amd64.deb`
  // Compressed as quickly as can be: it travels over loopback.
  const argv = ['--root-owner-group', '-Zgzip', '-z1', '--build', tree, file]
  await execa('dpkg-deb', argv, { env: { SOURCE_DATE_EPOCH: '0' } })
  return file
}
