import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { readSums, SIGNATURE_FILE } from '../build/sums.ts'
import { readBill } from '../evidence/bill.ts'
import { cyclonedxName } from '../evidence/names.ts'
import { workIn } from '../files/disk-error.ts'
import { anyJson } from '../files/json.ts'
import { readText } from '../files/text-file.ts'
import type { BuildRecord } from '../release/format/build-record.ts'
import { formatTag, parseTag } from '../release/format/tag.ts'
import type { Verification } from '../release/verify/finding.ts'
import { verifyFolder } from '../release/verify/verify-folder.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { readPageAssets } from './assets.ts'
import type { OlderVersion, PageFacts } from './facts.ts'
import { pageName, pageOf } from './page.ts'
import { renderPage } from './render/document.ts'

/** The input of `seeder report` for one image. */
export interface PageRequest {
  /** Of a build or a download; `finished` is its content. */
  readonly folder: string
  readonly finished: BuildRecord
  readonly comparison: OlderVersion | undefined
  /** The file of allowed signers; undefined when there is none. */
  readonly allowedSigners: string | undefined
  /** The file of the page; undefined for its default in the folder. */
  readonly out: string | undefined
  /** The checkout that the program belongs to. */
  readonly checkout: string
}

/**
 * Verifies a folder and writes the page of its image, whole or not at all.
 * @returns the page's file
 * @throws UsageError when `out` is no HTML file, SeederError when the folder holds no image or cannot be written to
 */
export async function writePage(request: PageRequest): Promise<string> {
  const { folder, finished, out } = request
  const { manifest } = finished
  // Image and version become part of a file name.
  if (parseTag(formatTag(manifest)) === undefined) {
    throw new SeederError(
      `the manifest in ${folder} is of ${JSON.stringify(formatTag(manifest))}, which is no version of an image`,
      { fix: 'build it again' },
    )
  }
  if (out !== undefined && !out.endsWith('.html')) {
    throw new UsageError(`--out ${out} is not the name of a page`, {
      fix: 'give a name that ends with .html',
    })
  }
  const file = resolve(out ?? join(folder, pageName(manifest)))
  const facts = await gatherFacts(request, dirname(file) === resolve(folder))
  const text = renderPage(pageOf(facts), await readPageAssets(request.checkout))
  const partial = `${file}.part`
  await workIn(dirname(file), async () => {
    await rm(partial, { force: true })
    // Never writes through a link or into a file that another user has put there.
    await writeFile(partial, text, { flag: 'wx' })
    await rename(partial, file)
  })
  return file
}

async function gatherFacts(
  { folder, finished, comparison, allowedSigners }: PageRequest,
  beside: boolean,
): Promise<PageFacts> {
  const { manifest } = finished
  const bill = await readText(join(folder, cyclonedxName(manifest))).then(
    (text) => readBill(anyJson(text)),
    () => undefined,
  )
  const findings = await verifyFolder(folder, allowedSigners)
  return {
    finished,
    comparison,
    beside,
    // An earlier page is no part of the image.
    findings: withoutPaths(findings, folder, allowedSigners).filter(
      ({ what }) => what !== pageName(manifest),
    ),
    hasSignature: existsSync(join(folder, SIGNATURE_FILE)),
    sums: await readSums(folder),
    bill: bill ?? [],
  }
}

/** Without the paths of this machine: another machine has to write the same page. */
function withoutPaths(
  findings: readonly Verification[],
  folder: string,
  allowedSigners: string | undefined,
): Verification[] {
  return findings.map((finding) => ({
    ...finding,
    found: [
      ...(allowedSigners === undefined ? [] : [[allowedSigners, basename(allowedSigners)] as const]),
      [folder, 'the folder'] as const,
    ].reduce((text, [path, name]) => text.replaceAll(path, name), finding.found),
  }))
}
