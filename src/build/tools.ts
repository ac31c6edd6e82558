import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Lock, LockedPackage } from '../image/lock.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import type { Store } from '../store/store.ts'
import { type Layers, layerKey } from './layers.ts'
import { HOST_ENVIRONMENT, runInside, unshareArgv } from './namespace.ts'
import { makeFolder, writeTexts } from './tree.ts'

/** The tools tree: a root file system whose programs make the image. `key` identifies its content. */
export interface Tools {
  readonly folder: string
  readonly key: string
}

const LEFT_OUT = ['usr/share/doc', 'usr/share/man', 'usr/share/info', 'usr/share/locale', 'boot']

/**
 * Unpacks the locked tools in two processes, without configuring them: none of the programs needs its maintainer script. This
 * takes seconds; an installation takes half a minute.
 */
export async function unpackTools(lock: Lock, store: Store, layers: Layers, scratch: string): Promise<Tools> {
  const exclude = LEFT_OUT.map((path) => `--exclude=./${path}`)
  // Where a package has a directory and the tree a link, the link stays.
  const unpack = `umask 022; for deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner --keep-directory-symlink ${exclude.join(' ')}; done`
  const inputs = { unpack, passwd: PASSWD, compile: COMPILE }
  const key = layerKey({ ...inputs, packages: lock.tools.map(({ sha256 }) => sha256) })
  const folder = await layers.get('tools', key, scratch, async (target) => {
    // base-files has the links /bin → usr/bin, which must exist before any package that still uses /bin.
    const isBase = ({ name }: LockedPackage) => name === 'base-files' || name === 'base-passwd'
    for (const group of [lock.tools.filter(isBase), lock.tools.filter((tool) => !isBase(tool))]) {
      // In a namespace, so that a killed build leaves no process that continues to write.
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
        input: group.map(({ sha256 }) => store.path(sha256)).join('\0'),
        ...HOST_ENVIRONMENT,
        cancelSignal: interruption,
        killSignal: 'SIGKILL',
      }).catch((cause: unknown) => {
        interruption.throwIfAborted()
        throw new SeederError('Unpacking the tools tree failed', {
          fix: 'run it with --verbose; if the store is damaged, remove the cache folder',
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
 * Makes a tar of the byte code of mmtarfilter's imports. The installation starts it for every package, with a read-only tools
 * tree: without byte code each start would compile the same modules, 3 s in total.
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
