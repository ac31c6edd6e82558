import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { runInside } from '../../../src/build/namespace.ts'
import { LIST_LICENCES, readLicences } from '../../../src/evidence/licences.ts'
import type { InstalledPackage, MaterialFacts } from '../../../src/evidence/materials.ts'
import { removeFolder } from '../builds.ts'
import type { DebianPackage } from '../ubuntu/debian.ts'
import { facts, lock } from './facts.ts'
import type { SpdxTools } from './spdx-tools.ts'

/** What a build would know of an image of these packages: real names, versions, maintainers and licences. */
export async function debianFacts({ tree, packages, store }: SpdxTools): Promise<MaterialFacts> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-copyright-'))
  // Root inside is nobody here.
  await chmod(folder, 0o755)
  try {
    for (const { sha256 } of packages) {
      const script = 'dpkg-deb --fsys-tarfile "$1" | tar -x --no-same-owner --wildcards "./usr/share/doc/*"'
      // A package without documents has nothing to unpack.
      await execa('bash', ['-c', script, 'unpack', store.path(sha256)], { cwd: folder, reject: false })
    }
    const enclosure = { tools: tree, binds: [{ from: folder, to: '/image' }] }
    const licences = readLicences(await runInside(enclosure, 'licences', `cd /image\n${LIST_LICENCES}`))
    return {
      ...facts,
      lock: { ...lock, packages: [...lock.packages.slice(0, 2), ...packages] },
      distribution: 'debian',
      suite: 'trixie',
      licences,
      installed: new Map(packages.map((one) => [one.name, installedOf(one)])),
    }
  } finally {
    await removeFolder(folder)
  }
}

function installedOf({ name, version, paragraph }: DebianPackage): InstalledPackage {
  const field = (key: string) => new RegExp(`^${key}: (.+)$`, 'm').exec(paragraph)?.[1]
  const [, source = name, sourceVersion = version] =
    /^(\S+)(?: \((.+)\))?$/.exec(field('Source') ?? name) ?? []
  return {
    source: { name: source, version: sourceVersion },
    maintainer: field('Maintainer') ?? '',
    homepage: field('Homepage'),
  }
}
