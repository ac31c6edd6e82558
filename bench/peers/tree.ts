import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rename, stat } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { shellQuote } from '../../src/build/enclosure.ts'
import { removeTrees } from '../../src/build/namespace.ts'
import { findMirrors } from '../../src/image/mirrors.ts'
import { SeederError } from '../../src/report/error.ts'

const ENTER_TREE = path.join(import.meta.dirname, 'enter-tree.sh')
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const NAMESPACES = ['--user', '--map-root-user', '--map-auto', '--mount', '--pid', '--fork', '--kill-child']

/**
 * The apt sources of Debian trixie with its updates and security pockets, on this machine's mirrors, in deb822 form.
 * Throws SeederError when the machine's apt names no mirror.
 */
export async function trixieSources(): Promise<string> {
  const mirrors = await findMirrors(['debian', 'debian-security'])
  const source = (archive: string, suites: string) =>
    [
      'Types: deb',
      `URIs: ${mirrors.get(archive)?.mirror}`,
      `Suites: ${suites}`,
      'Components: main',
      `Signed-By: ${KEYRING}`,
    ]
      .map((line) => `${line}\n`)
      .join('')
  return [source('debian', 'trixie trixie-updates'), source('debian-security', 'trixie-security')].join('\n')
}

/**
 * A trixie tree with `packages` below `cache`, made once per list of packages. Root and user make the same one: its
 * files belong to the subordinate ids of whoever made it. Nothing of the machine is changed. Returns its folder.
 */
export async function trixieTree(cache: string, packages: readonly string[]): Promise<string> {
  const digest = createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 12)
  const tree = path.join(cache, `trixie-${digest}`)
  if (await exists(tree)) return tree
  await mkdir(cache, { recursive: true })
  const making = await mkdtemp(`${tree}.making-`)
  try {
    const mmdebstrap = await fetchMmdebstrap(making)
    // In its own namespaces, and unpacked in ours: where a tree's files belong to differs between its versions.
    const script = [
      `mkdir ${shellQuote(`${making}/tree`)}`,
      `${shellQuote(mmdebstrap)} --mode=unshare --variant=apt --format=tar ` +
        `--aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' ` +
        `--dpkgopt='path-exclude=/usr/share/man/*' --include=${shellQuote(packages.join(','))} ` +
        `trixie - - | unshare ${NAMESPACES.join(' ')} tar -C ${shellQuote(`${making}/tree`)} -x --exclude='./dev/*'`,
    ].join('\n')
    await execa('bash', ['-euo', 'pipefail', '-c', script], { input: await trixieSources() })
    await rename(path.join(making, 'tree'), tree)
  } catch (error) {
    throw new SeederError('Making the trixie tree for mkosi failed', {
      fix: 'see the output of mmdebstrap with --verbose',
      cause: error,
    })
  } finally {
    await removeTrees([making])
  }
  return tree
}

/** Debian's mmdebstrap, unpacked into `folder` and not installed: it is a script that needs only apt and perl. */
async function fetchMmdebstrap(folder: string): Promise<string> {
  await execa('apt-get', ['download', 'mmdebstrap'], { cwd: folder })
  const archive = (await readdir(folder)).find((file) => file.endsWith('.deb'))
  await execa('dpkg-deb', ['--extract', archive ?? 'mmdebstrap.deb', 'mmdebstrap'], { cwd: folder })
  return path.join(folder, 'mmdebstrap/usr/bin/mmdebstrap')
}

/** The command line that runs `command` in `tree`, as root of a user namespace, in `work`, which is /build there. */
export function insideTree(tree: string, work: string, command: readonly string[]): [string, string[]] {
  return ['unshare', [...NAMESPACES, '--', ENTER_TREE, tree, work, ...command]]
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}
