import { execa } from 'execa'
import type { Lock } from '../image/lock.ts'
import { interruption } from '../interruption.ts'
import { SeederError } from '../report/error.ts'
import { type Layers, layerKey } from './layers.ts'
import { HOST_ENVIRONMENT, unshareArgv } from './namespace.ts'
import type { Store } from './store.ts'
import { writeTexts } from './tree.ts'

/** The tools tree: a root file system whose programs make the image. `key` stands for its content. */
export interface Tools {
  readonly folder: string
  readonly key: string
}

const LEFT_OUT = ['usr/share/doc', 'usr/share/man', 'usr/share/info', 'usr/share/locale', 'boot']

/**
 * Unpacks the locked tools, two packages at a time. Nothing is configured: they are programs to call, none of them
 * needs what a maintainer script does, and so this takes seconds, where an installation takes half a minute.
 */
export async function unpackTools(lock: Lock, store: Store, layers: Layers, scratch: string): Promise<Tools> {
  const exclude = LEFT_OUT.map((path) => `--exclude=./${path}`)
  // tar sees the packages as one after the other would; a directory that a package ships over a link stays the link.
  const unpack = `umask 022; for deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner --keep-directory-symlink ${exclude.join(' ')}; done`
  const key = layerKey({ unpack, passwd: PASSWD, packages: lock.tools.map((one) => one.sha256) })
  const folder = await layers.get('tools', key, scratch, async (target) => {
    // base-files brings the links /bin → usr/bin, which must be there before any package that still uses /bin.
    const [links, others] = partition(
      lock.tools,
      (one) => one.name === 'base-files' || one.name === 'base-passwd',
    )
    for (const group of [links, others]) {
      // In a namespace, so that a build that is killed leaves no process that goes on writing.
      const [program = '', ...argv] = unshareArgv([
        ...['xargs', '-0', '-P', '2', '-n', '8', 'bash', '-euo', 'pipefail', '-c', unpack, 'unpack'],
      ])
      await execa(program, argv, {
        cwd: target,
        input: group.map((one) => store.path(one.sha256)).join('\0'),
        ...HOST_ENVIRONMENT,
        cancelSignal: interruption,
        killSignal: 'SIGKILL',
      }).catch((cause: unknown) => {
        interruption.throwIfAborted()
        throw new SeederError('Unpacking the tools tree failed', {
          fix: 'see --verbose; a damaged store is mended by removing the cache folder',
          cause,
        })
      })
    }
    await writeTexts({ '/etc/passwd': PASSWD, '/etc/group': 'root:x:0:\n' }, target)
  })
  return { folder, key }
}

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\n'

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))]
}
