import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readDebian } from '../ubuntu/debian.ts'
import { unpackDebian } from '../ubuntu/debs.ts'

/**
 * Debian 13's openssl with the libraries it needs, on whatever Debian this machine has.
 * @param scratch an empty folder without blanks in its path
 * @returns a folder for PATH, with nothing but that openssl
 */
export async function debian13Openssl(scratch: string): Promise<string> {
  const [apt, unpacked, bin] = ['apt', 'unpacked', 'bin'].map((name) => join(scratch, name))
  if (!apt || !unpacked || !bin) throw new Error('no folders')
  for (const folder of [apt, unpacked, bin]) await mkdir(folder)
  const packages = ['openssl', 'libssl3t64', 'libzstd1', 'zlib1g', 'libc6']
  const folders = await unpackDebian(unpacked, await readDebian(apt), packages)
  const libraries = folders.map((folder) => join(folder, 'usr/lib/x86_64-linux-gnu'))
  const loader = join(unpacked, 'libc6/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2')
  const openssl = join(unpacked, 'openssl/usr/bin/openssl')
  const script = `#!/bin/sh\nexec '${loader}' --library-path '${libraries.join(':')}' '${openssl}' "$@"\n`
  await writeFile(join(bin, 'openssl'), script)
  await chmod(join(bin, 'openssl'), 0o755)
  return bin
}
