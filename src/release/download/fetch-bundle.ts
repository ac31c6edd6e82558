import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BundleList } from '../../build/bundle/format.ts'
import { unpackBundle } from '../../build/bundle/open.ts'
import { workIn } from '../../files/disk-error.ts'
import { makeRunFolder } from '../../files/run-folder.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { requireAgreement } from '../format/agreement.ts'
import { type ReleaseFile, readContents } from '../format/contents.ts'
import { readSignedList } from '../signature/signed-list.ts'
import type { SignatureCheck } from '../signature/signers.ts'
import { requireDiskSpace } from './disk-space.ts'
import { placesOf, withDownloadLock, withJournal } from './download-folder.ts'
import { fetchFile } from './fetch-file.ts'

export interface DownloadOptions {
  /** Seeder's cache folder: the bundle is unpacked below it to verify it. */
  readonly cache: string
  readonly progress: Pick<Progress, 'phase' | 'note' | 'bytes'>
  readonly signal: AbortSignal
}

/** Bytes of a tar for each file beside its content: header, long name, parent folders, padding. */
const TAR_OVERHEAD = 8192

/**
 * Downloads the bundle of a release to `out` and verifies it: its list is signed, and every file has the digest in it.
 * @throws SeederError when the signature is wrong, and as `downloadBundle`
 */
export async function fetchBundle(
  releases: Releases,
  release: Release,
  out: string,
  { trust, ...options }: DownloadOptions & { readonly trust: SignatureCheck },
): Promise<BundleList> {
  const { progress, signal } = options
  progress.phase(`read the list of ${release.tag}`)
  const list = await readSignedList(releases, release, trust, signal)
  await downloadBundle({ releases, release, list }, out, options)
  return list
}

/**
 * Downloads a bundle to `out`, complete and verified against its list or not at all. What an interrupted run has
 * downloaded stays beside `out`, and the next run continues there.
 * @throws SeederError when the release has no bundle, it cannot be downloaded, or does not match the list
 */
export async function downloadBundle(
  { releases, release, list }: { releases: Releases; release: Release; list: BundleList },
  out: string,
  { cache, progress, signal }: DownloadOptions,
): Promise<void> {
  const file = await bundleFileOf(releases, release, signal)
  requirePlausible(file, list, release)
  progress.phase('download the bundle')
  const places = placesOf(out)
  const { partial, lock } = places
  const download = () =>
    withJournal(
      places,
      file.sha256,
      async (journal) => {
        await requireDiskSpace(dirname(out), [{ path: partial, size: file.size }])
        await fetchFile({ releases, release, journal }, file, partial, { progress, signal, announce: true })
      },
      async () => {
        progress.phase('verify the bundle')
        await verifyBundle(partial, list, release, cache)
        await rename(partial, out)
      },
    )
  await workIn(dirname(out), () => withDownloadLock(lock, download))
}

async function bundleFileOf(releases: Releases, release: Release, signal: AbortSignal): Promise<ReleaseFile> {
  const contents = await readContents(releases, release, signal)
  if (contents) requireAgreement(contents, release)
  if (contents?.bundleFile) return contents.bundleFile
  throw new SeederError(`${release.tag} was published without its bundle`, {
    fix: 'build the image at its commit, with a snapshot that still has the packages (SEEDER_SNAPSHOT_…), and give that folder: seeder bundle DIR',
  })
}

/**
 * Limits the download, as the size in `release.json` is not signed.
 * @throws SeederError for a size that these files cannot have
 */
function requirePlausible({ name, size }: ReleaseFile, { index, text }: BundleList, { tag }: Release): void {
  const content = index.files.reduce((sum, file) => sum + file.size + TAR_OVERHEAD, text.length)
  const most = content + TAR_OVERHEAD
  if (size <= most) return
  throw new SeederError(
    `${name} of ${tag} has ${size} bytes; with the files of its list it has at most ${most}`,
    { fix: 'do not use it: publish a new version of the image' },
  )
}

async function verifyBundle(file: string, list: BundleList, { tag }: Release, cache: string): Promise<void> {
  const scratch = await makeRunFolder(join(cache, 'work'))
  try {
    const unpacked = join(scratch, 'bundle')
    await mkdir(unpacked)
    const { text } = await workIn(scratch, () => unpackBundle(file, unpacked))
    if (text.equals(list.text)) return
    throw new SeederError(`the bundle of ${tag} is not the one that its signed list describes`, {
      fix: 'do not use it: publish a new version of the image',
    })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}
