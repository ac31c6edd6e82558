import {
  type BundleList,
  bundleListName,
  bundleSchema,
  FOLDERS,
  parseBundleList,
} from '../../build/bundle/format.ts'
import type { Manifest } from '../../build/manifest.ts'
import { checkJson, whyNot } from '../../files/json.ts'
import { SeederError } from '../../report/error.ts'

/**
 * The contradictions between a bundle's list and the manifest, one per line.
 * @throws UnreadableJson
 */
export function bundleListProblems(content: unknown, manifest: Manifest): string[] {
  const index = checkJson(content, bundleSchema)
  const { image, version, base, epoch, raw, lock, source, files } = index
  const locked = files.filter(({ path }) => path.startsWith(`${FOLDERS.store}/`))
  const misnamed = locked.find(({ path, sha256 }) => path !== `${FOLDERS.store}/${sha256}`)
  return [
    ...(image === manifest.image && version === manifest.version ? [] : [`it is of ${image} ${version}`]),
    ...(raw.sha256 === manifest.raw.sha256 ? [] : ['it is of another disk']),
    ...(lock.sha256 === manifest.lock.sha256 ? [] : ['it names another lock']),
    ...(base === manifest.base && epoch === manifest.epoch ? [] : ['it is of another base or time']),
    ...(source.commit === manifest.source.commit ? [] : ['it names another commit']),
    ...(misnamed === undefined ? [] : [`${misnamed.path} is not named by its digest`]),
  ]
}

/**
 * Reads the list of a bundle.
 * @throws SeederError when it is invalid, or belongs to another build
 */
export function readBundleList(text: Buffer, manifest: Manifest): BundleList {
  const name = bundleListName(manifest)
  const fix = 'do not use it: build it again, or publish a new version of the image'
  let problems: string[]
  try {
    const list = parseBundleList(text)
    problems = bundleListProblems(list.index, manifest)
    if (problems.length === 0) return list
  } catch (cause) {
    throw new SeederError(`${name} is not the list of a bundle: ${whyNot(cause)}`, { fix, cause })
  }
  throw new SeederError(`${name} cannot be right: ${problems.join('; ')}`, { fix })
}
