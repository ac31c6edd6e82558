import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Lock } from '../image/lock.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import type { Store } from '../store/store.ts'
import { type Layers, layerKey } from './layers.ts'
import { HOST_ENVIRONMENT, runInside, unshareArgv } from './namespace.ts'
import { makeFolder, writeTexts } from './tree.ts'

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
  const inputs = { unpack, passwd: PASSWD, compile: COMPILE }
  const key = layerKey({ ...inputs, packages: lock.tools.map((one) => one.sha256) })
  const folder = await layers.get('tools', key, scratch, async (target) => {
    // base-files brings the links /bin → usr/bin, which must be there before any package that still uses /bin.
    const [links, others] = partition(
      lock.tools,
      (one) => one.name === 'base-files' || one.name === 'base-passwd',
    )
    for (const group of [links, others]) {
      // In a namespace, so that a build that is killed leaves no process that goes on writing.
      const [program = '', ...argv] = unshareArgv([
        'xargs',
        '-0',
        '-P',
        '2',
        '-n',
        '8',
        'bash',
        '-euo',
        'pipefail',
        '-c',
        unpack,
        'unpack',
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
    await compilePython(target, scratch)
  })
  return { folder, key }
}

/**
 * The byte code of what mmtarfilter imports, as a tar. The installation starts it for every package, and nothing can be
 * written to the tools tree then: without byte code each start compiles the same modules, which takes 3 s in all.
 */
const COMPILE = [
  'cd /tmp; mkdir tree',
  'if [ ! -x /usr/bin/mmtarfilter ]; then tar -cf /out/bytecode.tar --files-from=/dev/null; exit; fi',
  'PYTHONPYCACHEPREFIX=/tmp/made /usr/bin/mmtarfilter --help > /dev/null',
  'find made -name "*.pyc" | while read -r file; do',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own braces
  '  folder=${file%/*}; folder=tree/${folder#made/}/__pycache__',
  '  mkdir -p "$folder"; cp "$file" "$folder/"',
  'done',
  'tar -cf /out/bytecode.tar -C tree .',
].join('\n')

async function compilePython(tools: string, scratch: string): Promise<void> {
  const out = join(scratch, 'bytecode')
  await makeFolder(out)
  const binds = [{ from: out, to: '/out', writable: true }]
  await runInside({ tools, binds }, 'Compiling the tools tree’s Python', COMPILE)
  const argv = ['--extract', '--no-same-owner', '--keep-old-files', '--file', join(out, 'bytecode.tar')]
  await execa('tar', argv, { cwd: tools, ...HOST_ENVIRONMENT, stdin: 'ignore' })
  await rm(out, { recursive: true })
}

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\n'

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))]
}
