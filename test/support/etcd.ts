import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { usersCache } from './builds.ts'
import { readDebian } from './ubuntu/debian.ts'
import { unpackDebian } from './ubuntu/debs.ts'

/** A folder with the real programs `bin/etcd`, `bin/etcdctl` and `bin/etcdutl`, fetched once from Debian's archive. */
export async function etcdPrograms(): Promise<string> {
  const cache = join(usersCache, 'seeder-test')
  const folder = join(cache, 'etcd')
  if (existsSync(folder)) return folder
  await mkdir(cache, { recursive: true })
  const scratch = await mkdtemp(join(cache, 'etcd-'))
  try {
    await mkdir(join(scratch, 'apt'))
    const debian = await readDebian(join(scratch, 'apt'))
    const unpacked = await unpackDebian(scratch, debian, ['etcd-server', 'etcd-client'])
    for (const tree of unpacked)
      await cp(join(tree, 'usr/bin'), join(scratch, 'whole/bin'), { recursive: true })
    // Another test may have made it meanwhile.
    await rename(join(scratch, 'whole'), folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  return folder
}
