import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Image } from '../image/definition.ts'
import { readLock } from '../image/lock.ts'
import { mirrorsOf } from '../image/mirrors.ts'
import { readTrust } from '../image/trust.ts'
import type { Platform } from '../platform/schema.ts'
import { SeederError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { unpackArtifacts } from './artifacts.ts'
import { assembleDisk, kernelCommandLine } from './disk.ts'
import { fillStore, isDiskFull } from './fetch.ts'
import { generatedFiles } from './generated.ts'
import { digestCleanDisk } from './hygiene.ts'
import { packInitrd } from './initrd.ts'
import { Layers } from './layers.ts'
import { createManifest, type Manifest, manifestName, templateConf } from './manifest.ts'
import { requireNamespaces, runInside } from './namespace.ts'
import { publishOutput, requireUsableOutput } from './output.ts'
import { makeRoot } from './root.ts'
import { installPackages, type Rootfs } from './rootfs.ts'
import { readSource } from './source.ts'
import { Store, sha256File } from './store.ts'
import { type Tools, unpackTools } from './tools.ts'
import { overlay, readTrees, splitTree } from './tree.ts'
import { makeUsr } from './usr.ts'
import { withWorkFolder } from './work.ts'

/** What a build needs to know beside its image. */
export interface BuildOptions {
  /** The folder with `images/` and `platform.yaml`. */
  readonly project: string
  /** Seeder's cache folder: package store, layers and work folders live below it. */
  readonly cache: string
  /** Where the finished files go. */
  readonly out: string
  /** False with --no-cache: every layer is built anew; the package store is still used. */
  readonly reuseLayers: boolean
  readonly progress: Progress
}

/** A layer that nobody used for so long belongs to a definition that has moved on. */
const UNUSED_DAYS = 14

/**
 * Builds an image from its lock and leaves qcow2, manifest, SHA256SUMS and template.conf in `options.out`.
 * Nothing appears there before all of it is finished. Returns the manifest.
 * Throws SeederError (or UsageError for a wrong definition), leaving nothing behind but reusable layers.
 */
export async function buildImage(image: Image, platform: Platform, options: BuildOptions): Promise<Manifest> {
  const { project, cache, progress } = options
  await requireUsableOutput(options.out)
  const lock = await readLock(image)
  const tree = await readTrees(image.trees)
  const generated = await generatedFiles(image, platform, await readTrust(image.folder, lock.epoch))
  await requireNamespaces()
  const source = await readSource(project)

  return withWorkFolder(join(cache, 'work'), async (scratch) => {
    progress.phase('packages')
    const store = new Store(join(cache, 'store'), scratch)
    await fillStore(
      store,
      [...lock.packages, ...lock.tools, ...lock.artifacts],
      () => mirrorsOf(image),
      progress,
    )
    const files = splitTree(overlay(await unpackArtifacts(image, lock, store, scratch), tree))

    const layers = new Layers(join(cache, 'layers'), options.reuseLayers)
    progress.phase('tools')
    const tools = await unpackTools(lock, store, layers, scratch)
    progress.phase('rootfs')
    const rootfs = await installPackages(image, lock, store, tools, layers, scratch)
    const unpackTree = once(() => unpack(rootfs, tools, scratch))
    progress.phase('initrd')
    const initrd = await packInitrd(project, lock, rootfs, tools, layers, scratch, unpackTree)
    progress.phase('usr')
    const usr = await makeUsr(image, lock, files.usr, rootfs, tools, layers, scratch, unpackTree)
    progress.phase('root')
    await makeRoot(image, lock, files.state, generated, usr, tools, scratch)
    progress.phase('disk')
    await assembleDisk(image, lock, usr, initrd, tools, scratch)
    progress.phase('digests')
    const raw = await digestCleanDisk(join(scratch, 'disk.raw'))
    const qcow2 = await measure(join(scratch, 'disk.qcow2'))
    progress.done()

    const manifest = createManifest(image, lock, usr, {
      raw,
      qcow2,
      usrSize: (await stat(join(usr.folder, 'usr.erofs'))).size,
      kernelVersion: await readFile(join(initrd, 'kernel-version'), 'utf8'),
      commandLine: kernelCommandLine(usr),
      source,
      timings: progress.timings,
      made: layers.made,
    })
    await publishOutput(options.out, await outputFiles(manifest, platform, scratch))
    await layers.prune(UNUSED_DAYS)
    return manifest
  }).catch((error: unknown) => {
    if (!isDiskFull(error)) throw error
    throw new SeederError('The build failed: no space left on the disk', {
      fix: 'free some space, or move the cache with XDG_CACHE_HOME or the output with --out',
      cause: error,
    })
  })
}

async function unpack(rootfs: Rootfs, tools: Tools, scratch: string): Promise<void> {
  if (rootfs.tree) return
  const enclosure = {
    tools: tools.folder,
    binds: [
      { from: scratch, to: '/scratch' },
      { from: rootfs.folder, to: '/rootfs' },
    ],
  }
  const script = 'mkdir /scratch/tree && tar -C /scratch/tree -xf /rootfs/rootfs.tar --numeric-owner --xattrs'
  await runInside(enclosure, 'Unpacking the installed packages', script)
}

async function measure(file: string): Promise<{ sha256: string; size: number }> {
  return { sha256: await sha256File(file), size: (await stat(file)).size }
}

async function outputFiles(
  manifest: Manifest,
  platform: Platform,
  scratch: string,
): Promise<Map<string, string>> {
  const folder = join(scratch, 'output')
  await mkdir(folder)
  const files = new Map([[manifest.qcow2.file, join(scratch, 'disk.qcow2')]])
  const sums = [`${manifest.qcow2.sha256}  ${manifest.qcow2.file}\n`]
  const texts = {
    [manifestName(manifest)]: `${JSON.stringify(manifest, null, 2)}\n`,
    'template.conf': templateConf(manifest, platform),
  }
  for (const [name, text] of Object.entries(texts)) {
    const file = join(folder, name)
    await writeFile(file, text)
    files.set(name, file)
    sums.push(`${await sha256File(file)}  ${name}\n`)
  }
  await writeFile(join(folder, 'SHA256SUMS'), sums.join(''))
  return files.set('SHA256SUMS', join(folder, 'SHA256SUMS'))
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => {
    result ??= work()
    return result
  }
}
