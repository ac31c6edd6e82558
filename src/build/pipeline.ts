import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { provenanceName } from '../evidence/names.ts'
import { type Builder, provenanceStatement } from '../evidence/provenance.ts'
import type { EvidenceSubject } from '../evidence/subject.ts'
import type { Image } from '../image/definition.ts'
import { readSource, type SourceCommit } from '../image/git.ts'
import { type Lock, readLock } from '../image/lock.ts'
import { mirrorsOf } from '../image/mirrors.ts'
import { readTrust } from '../image/trust.ts'
import { openPorts } from '../platform/flows.ts'
import type { Platform } from '../platform/schema.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { fileDigest, sha256File } from '../store/digest.ts'
import { Store } from '../store/store.ts'
import { unpackArtifacts } from './artifacts.ts'
import { collectInputs } from './bundle/entries.ts'
import { bundleListName, formatBundleList } from './bundle/format.ts'
import { fillWithContainers } from './containers/fetch.ts'
import { containerBlobs, containerIndexes } from './containers/layout.ts'
import { assembleDisk, kernelCommandLine } from './disk.ts'
import { gatherEvidence } from './evidence.ts'
import { fillStore, isDiskFull } from './fetch.ts'
import { generatedFiles } from './generated.ts'
import { digestCleanDisk } from './hygiene.ts'
import { packInitrd } from './initrd.ts'
import { Layers } from './layers.ts'
import { createManifest, type Manifest, manifestName, qcow2Name, templateConf } from './manifest.ts'
import { requireNamespaces } from './namespace.ts'
import { publishOutput, requireUsableOutput } from './output.ts'
import { makeRoot } from './root.ts'
import { installPackages } from './rootfs.ts'
import { unpackTools } from './tools.ts'
import { overlay, readTrees, splitTree, writeTexts } from './tree.ts'
import { makeUsr } from './usr.ts'
import { insideOf, withWorkFolder } from './work.ts'

/** The options of a build. */
export interface BuildOptions {
  /** The folder with `images/` and `platform.yaml`. */
  readonly project: string
  /** The checkout that this program belongs to. */
  readonly checkout: string
  /** Seeder's cache folder, with the package store, the layers and the work folders. */
  readonly cache: string
  /** The folder for the finished files. */
  readonly out: string
  /** False with --no-cache: every layer is built again; the package store is still used. */
  readonly reuseLayers: boolean
  readonly progress: Progress
  /** The commit of the definitions; by default from git in `project`. */
  readonly source?: SourceCommit | undefined
  /** For the provenance. */
  readonly builder: Builder
  /** The program that builds, and its version. */
  readonly tool: { readonly name: string; readonly version: string }
}

/** A layer that no build used for this long is removed: its definition has changed. */
const UNUSED_DAYS = 14

/**
 * Builds an image from its lock and writes qcow2, manifest, template.conf, evidence, bundle list and SHA256SUMS to
 * `options.out`, all at once at the end.
 * @throws SeederError when the build fails, UsageError when the definition is wrong; only reusable layers are left
 */
export async function buildImage(image: Image, platform: Platform, options: BuildOptions): Promise<Manifest> {
  const { project, cache, progress } = options
  const startedMs = Date.now()
  await requireUsableOutput(options.out)
  const lock = await readLock(image)
  const tree = await readTrees(image.trees)
  const generated = {
    ...(await generatedFiles(image, platform, await readTrust(image.folder, lock.epoch))),
    ...containerIndexes(image, lock),
  }
  await requireNamespaces()
  const source = options.source ?? (await readSource(project))

  return withWorkFolder(join(cache, 'work'), async (scratch) => {
    progress.phase('packages')
    const store = new Store(join(cache, 'store'), scratch)
    const inputs = await collectInputs({ image, lock, project, checkout: options.checkout }, store)
    const locked = [...lock.packages, ...lock.tools, ...lock.artifacts]
    await fillStore(store, locked, { findMirrors: () => mirrorsOf(image), progress })
    await fillWithContainers(store, lock.containers, { scratch, progress })
    const artifacts = await unpackArtifacts(image, lock, store, scratch)
    const blobs = containerBlobs(lock, store)
    const made = join(scratch, 'generated')
    await writeTexts(generated, made)
    const files = splitTree(overlay(artifacts, blobs, tree, await readTrees([made])))

    const layers = new Layers(join(cache, 'layers'), options.reuseLayers)
    try {
      progress.phase('tools')
      const tools = await unpackTools(lock, store, layers, scratch)
      const run = { image, lock, store, tools, layers, scratch }
      progress.phase('rootfs')
      const rootfs = await installPackages(run)
      progress.phase('initrd')
      const initrd = await packInitrd(run, project, rootfs)
      progress.phase('usr')
      const usr = await makeUsr(run, rootfs, files.usr)
      progress.phase('root')
      const root = await makeRoot(run, usr, files)
      progress.phase('disk')
      const opaque = await assembleDisk(run, usr, root, initrd)
      progress.phase('digests')
      const raw = await digestCleanDisk(join(insideOf(scratch), 'disk.raw'), opaque)
      const qcow2 = await fileDigest(join(insideOf(scratch), 'disk.qcow2'))
      progress.phase('evidence')
      const uki = {
        sha256: (await readFile(join(insideOf(scratch), 'uki.sha256'), 'utf8')).slice(0, 64),
        kernel: await readFile(join(initrd, 'kernel-version'), 'utf8'),
      }
      const evidence = await gatherEvidence(
        subjectOf(image, lock, raw.sha256, qcow2.sha256),
        {
          image,
          lock,
          artifacts,
          blobs,
          tree,
          usr,
          uki,
          tool: options.tool,
          generated: Object.keys(generated),
        },
        scratch,
      )
      progress.done()

      const manifest = createManifest(image, lock, usr, {
        raw,
        qcow2,
        usrSize: (await stat(join(usr.folder, 'usr.erofs'))).size,
        kernelVersion: uki.kernel,
        ukiSha256: uki.sha256,
        files: evidence.files,
        ports: openPorts(platform, image.roles),
        commandLine: kernelCommandLine(usr, root),
        source,
        timings: progress.timings,
        made: layers.made,
      })
      const texts = {
        [manifestName(manifest)]: `${JSON.stringify(manifest, null, 2)}\n`,
        'template.conf': templateConf(manifest, platform),
        ...evidence.texts,
        [bundleListName(manifest)]: formatBundleList({
          schema: 1,
          image: image.name,
          version: lock.version,
          base: image.base.name,
          ...(image.line === undefined ? {} : { line: image.line }),
          epoch: lock.epoch,
          lock: manifest.lock,
          source,
          raw: { sha256: raw.sha256 },
          files: inputs,
        }),
      }
      const provenance = (subjects: readonly { name: string; sha256: string }[]) =>
        provenanceStatement({
          image: image.name,
          version: lock.version,
          base: image.base.name,
          line: image.line,
          subjects,
          lock,
          lockSha256: manifest.lock.sha256,
          source,
          builder: options.builder,
          versions: {
            [options.tool.name]: options.tool.version,
            node: process.versions.node,
            ...manifest.tools,
          },
          startedMs,
          finishedMs: Date.now(),
        })
      await layers.verify()
      await publishOutput(options.out, await outputFiles(manifest, texts, provenance, scratch))
      await layers.prune(UNUSED_DAYS)
      return manifest
    } finally {
      // Layers are kept after a failure as well. A build does not fail because its cache cannot be written to.
      if (!interruption.aborted) await layers.keep().catch(() => {})
    }
  }).catch((error: unknown) => {
    if (!isDiskFull(error)) throw error
    throw new SeederError('The build failed: no space left on the disk', {
      fix: 'free some space, or move the cache with XDG_CACHE_HOME or the output with --out',
      cause: error,
    })
  })
}

function subjectOf(image: Image, lock: Lock, rawSha256: string, qcow2Sha256: string): EvidenceSubject {
  const { name, description, base } = image
  const { version, epoch } = lock
  return {
    image: name,
    version,
    description,
    base: base.name,
    epoch,
    rawSha256,
    qcow2: { file: qcow2Name({ image: name, version }), sha256: qcow2Sha256 },
  }
}

/** Writes the texts, then the provenance about all of them, then SHA256SUMS. */
async function outputFiles(
  { qcow2, ...manifest }: Manifest,
  texts: Readonly<Record<string, string>>,
  provenance: (subjects: readonly { name: string; sha256: string }[]) => unknown,
  scratch: string,
): Promise<Map<string, string>> {
  const folder = join(scratch, 'output')
  await mkdir(folder)
  const files = new Map([[qcow2.file, join(insideOf(scratch), 'disk.qcow2')]])
  const sums = [{ name: qcow2.file, sha256: qcow2.sha256 }]
  const add = async (name: string, text: string) => {
    const file = join(folder, name)
    await writeFile(file, text)
    files.set(name, file)
    return { name, sha256: await sha256File(file) }
  }
  for (const [name, text] of Object.entries(texts)) sums.push(await add(name, text))
  sums.push(await add(provenanceName(manifest), `${JSON.stringify(provenance(sums), null, 1)}\n`))
  await add('SHA256SUMS', sums.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(''))
  return files
}
