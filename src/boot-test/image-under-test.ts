import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { z } from 'zod'
import { manifestSchema } from '../build/manifest.ts'
import { readJson } from '../files/json.ts'
import { UsageError } from '../report/error.ts'

/** The part of a manifest that a test compares with. */
const expectedManifest = manifestSchema.pick({
  image: true,
  version: true,
  raw: true,
  usr: true,
  qcow2: true,
})
export type ExpectedManifest = z.output<typeof expectedManifest>

/** A finished image to test. Paths are absolute. */
export interface ImageUnderTest {
  /** The image's name, which decides its contract. */
  readonly name: string
  readonly qcow2: string
  /** Undefined for a file without one: its digests cannot be compared. */
  readonly manifest: ExpectedManifest | undefined
  /** Where the report is written by default. */
  readonly reportFile: string
}

/**
 * Finds the image that an argument of `seeder test` names: the folder of a build, or a qcow2 file, with its manifest if
 * that is beside it.
 * @throws UsageError when there is no image, more than one, or an invalid manifest
 */
export async function findImage(path: string): Promise<ImageUnderTest> {
  const found = await stat(path).catch(() => undefined)
  if (!found) throw new UsageError(`looked for an image at ${path}; there is nothing`, { fix: BUILD_FIRST })
  const absolute = await realpath(path)
  const folder = found.isDirectory() ? absolute : dirname(absolute)
  const manifests = await readManifests(folder)
  if (!found.isDirectory()) {
    const manifest = manifests.find(({ qcow2 }) => qcow2.file === basename(absolute))
    return imageOf(absolute, manifest, `${absolute.replace(/\.qcow2$/, '')}.test-report.json`)
  }
  const [manifest, ...more] = manifests
  if (!manifest) {
    throw new UsageError(`looked in ${path} for an image; it has no *.manifest.json`, { fix: BUILD_FIRST })
  }
  if (more.length > 0) {
    const names = manifests.map(({ qcow2 }) => qcow2.file).join(', ')
    throw new UsageError(`${path} holds more than one image: ${names}`, { fix: 'name one of the files' })
  }
  const qcow2 = join(folder, manifest.qcow2.file)
  if (!(await stat(qcow2).catch(() => undefined))) {
    throw new UsageError(`the manifest in ${path} names ${manifest.qcow2.file}; it is not there`, {
      fix: BUILD_FIRST,
    })
  }
  return imageOf(qcow2, manifest, join(folder, 'test-report.json'))
}

const BUILD_FIRST = 'build one first: seeder build IMAGE --out DIR'

function imageOf(qcow2: string, manifest: ExpectedManifest | undefined, reportFile: string): ImageUnderTest {
  // Without a manifest, the file's name decides: NAME-VERSION.qcow2, where versions begin with a digit.
  const name = manifest?.image ?? basename(qcow2, '.qcow2').replace(/-\d.*$/, '')
  return { name, qcow2, manifest, reportFile }
}

async function readManifests(folder: string): Promise<ExpectedManifest[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.manifest.json')).sort()
  const options = {
    what: 'the manifest of an image',
    fix: 'build or download the image again',
    error: UsageError,
  }
  return Promise.all(names.map((name) => readJson(join(folder, name), expectedManifest, options)))
}
