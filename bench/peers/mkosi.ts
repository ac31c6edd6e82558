import { cp, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { removeTrees } from '../../src/build/namespace.ts'
import { SeederError } from '../../src/report/error.ts'
import { samplePeakMemory } from '../memory.ts'
import { insideTree, trixieSources, trixieTree } from './tree.ts'

/** What one peer took for the image. Seconds include the conversion to qcow2, as Seeder's own builds do. */
export interface PeerResult {
  readonly peer: string
  /** Of the tool, as it names itself. */
  readonly version: string
  /** From nothing but downloaded packages and repository metadata. */
  readonly coldSeconds: number
  /** After an edit of one configuration file, with the tool's best cache. */
  readonly editSeconds: number
  readonly qcow2Bytes: number
  /** Of the cold build, as samplePeakMemory defines it. */
  readonly peakBytes: number
  /** The qcow2 of the cold build, for the boot measurement; it stays until the next run. */
  readonly qcow2: string
}

export interface PeerOptions {
  /** The packages of the image, without what the tool itself needs to make it bootable. */
  readonly packages: readonly string[]
  /** Called with each line of progress. */
  readonly log?: (line: string) => void
}

const DEFINITION = path.join(import.meta.dirname, 'mkosi')
const CONFIG_FILE = 'mkosi.extra/etc/haproxy/edited.cfg'

/** mkosi and the tools that it runs for a Debian disk image with erofs, dm-verity and a unified kernel image. */
const TOOLS = [
  'mkosi',
  'systemd-repart',
  'systemd-ukify',
  'systemd-boot-efi',
  'systemd',
  'udev',
  'uidmap',
  'cpio',
  'kmod',
  'erofs-utils',
  'e2fsprogs',
  'dosfstools',
  'mtools',
  'cryptsetup-bin',
  'zstd',
  'bubblewrap',
  'qemu-utils',
  'debian-archive-keyring',
  'ca-certificates',
]

/** What mkosi needs in the image for its own way of booting it, whatever the image is for. */
const BOOT_PACKAGES = ['systemd-boot-efi', 'systemd-cryptsetup', 'cryptsetup-bin']

/**
 * Builds `options.packages` with Debian trixie's mkosi into the same shape as Seeder's images (bench/peers/mkosi/) and
 * measures it. mkosi runs in a trixie tree of its own below the cache folder, so it is the same on every machine.
 * Takes three builds: one that fills mkosi's caches and is not measured, one after an edit, one cold.
 * Throws SeederError with mkosi's last lines when a build fails.
 */
export async function benchMkosi(options: PeerOptions): Promise<PeerResult> {
  const log = options.log ?? (() => {})
  const cache = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'seeder-bench')
  log('mkosi: making its trixie tree, if it is not there yet')
  const tree = await trixieTree(cache, TOOLS)
  const work = path.join(cache, 'mkosi')
  await prepareWork(work)

  const packages = [...new Set([...options.packages, ...BOOT_PACKAGES])].map((name) => `--package=${name}`)
  const run = (args: readonly string[]) => build(tree, work, [...packages, ...args])

  log('mkosi: first build, which fills its caches')
  await run(['--incremental=yes'])
  log('mkosi: build after an edit, incremental')
  await writeFile(path.join(work, CONFIG_FILE), '# edited\n')
  const edit = await run(['--incremental=yes'])
  log('mkosi: cold build')
  const cold = await run(['--incremental=no', '--cache-only=always'])

  const [command, args] = insideTree(tree, work, ['mkosi', '--version'])
  const { stdout: version } = await execa(command, args)
  const qcow2 = path.join(work, 'image.qcow2')
  return {
    peer: 'mkosi',
    version,
    coldSeconds: cold.seconds,
    editSeconds: edit.seconds,
    qcow2Bytes: (await stat(qcow2)).size,
    peakBytes: cold.peakBytes,
    qcow2,
  }
}

/** A work folder with the definition, and with the packages that an earlier run downloaded. */
async function prepareWork(work: string): Promise<void> {
  await mkdir(work, { recursive: true })
  const leftovers = ['mkosi.cache', 'mkosi.extra', 'mkosi.sandbox', 'mkosi.repart', 'image', 'image.raw']
  await removeTrees(leftovers.map((name) => path.join(work, name)))
  await rm(path.join(work, 'image.qcow2'), { force: true })
  await cp(DEFINITION, work, { recursive: true })
  for (const folder of ['mkosi.cache', 'mkosi.pkgcache', path.dirname(CONFIG_FILE)]) {
    await mkdir(path.join(work, folder), { recursive: true })
  }
  await writeFile(path.join(work, CONFIG_FILE), '# first\n')
  // Under the name that mkosi gives its own sources, so that these replace them.
  const sources = path.join(work, 'mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources')
  await mkdir(path.dirname(sources), { recursive: true })
  await writeFile(sources, await trixieSources())
}

/** One build and its conversion to qcow2, timed as one; peak memory in bytes. */
async function build(
  tree: string,
  work: string,
  args: readonly string[],
): Promise<{ seconds: number; peakBytes: number }> {
  const script =
    'mkosi --force "$@" build >mkosi.log 2>&1 && ' +
    'qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd image.raw image.qcow2'
  const [command, argv] = insideTree(tree, work, ['sh', '-euc', script, 'sh', ...args])
  const start = performance.now()
  const running = execa(command, argv, { reject: false, all: true, stdin: 'ignore' })
  const sampler = running.pid === undefined ? undefined : samplePeakMemory(running.pid)
  const { exitCode, all } = await running
  const seconds = (performance.now() - start) / 1000
  const peakBytes = (await sampler?.stop()) ?? 0
  if (exitCode !== 0) {
    throw new SeederError(`mkosi failed (exit ${exitCode ?? 'by signal'}) ${all ?? ''}`.trim(), {
      fix: `see ${path.join(work, 'mkosi.log')}`,
    })
  }
  return { seconds, peakBytes }
}
