import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import { sha256File } from '../../../src/store/digest.ts'

/**
 * Publishes a release of etcd below `folder` as upstream does: `vVERSION/etcd-vVERSION-linux-amd64.tar.gz` with SHA256SUMS.
 * `programs` are the paths of etcd, etcdctl and etcdutl of any version. The same programs give the same bytes.
 */
export async function publishEtcd(
  folder: string,
  version: string,
  programs: readonly string[],
): Promise<void> {
  const release = join(folder, `v${version}`)
  const name = `etcd-v${version}-linux-amd64`
  const tree = join(release, name)
  await mkdir(tree, { recursive: true })
  await writeFile(join(tree, 'README.md'), `etcd ${version}, put together by a test\n`)
  for (const program of programs) await copyFile(program, join(tree, basename(program)))
  const tarball = `${name}.tar.gz`
  const owner = ['--owner=0', '--group=0', '--numeric-owner']
  const archive = ['-I', 'gzip -1n', '-cf', join(release, tarball), '-C', release, name]
  await execa('tar', ['--sort=name', '--mtime=@0', ...owner, ...archive])
  await rm(tree, { recursive: true })
  const digests = [
    // Upstream's list has a line for each of its platforms.
    `${'0'.repeat(64)}  etcd-v${version}-linux-arm64.tar.gz`,
    `${await sha256File(join(release, tarball))}  ${tarball}`,
  ]
  await writeFile(join(release, 'SHA256SUMS'), `${digests.join('\n')}\n`)
}
