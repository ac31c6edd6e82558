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

/** What a page is asked for. */
export interface PageRequest {
  /** Of a build or a download, and what is in it. */
  readonly folder: string
  readonly finished: BuildRecord
  readonly comparison: OlderVersion | undefined
  /** The file with those who may sign; undefined when there is none to go by. */
  readonly allowedSigners: string | undefined
  /** Where the page goes; undefined for its own place in the folder. */
  readonly out: string | undefined
  /** The checkout that the program belongs to. */
  readonly checkout: string
}

/**
 * Looks at a folder and writes the page of its image, whole or not at all.
 * @returns the page's file
 * @throws UsageError for an `out` that is no page, SeederError when the folder holds no image or cannot be written to
 */
export async function writePage(request: PageRequest): Promise<string> {
  const { folder, finished, out } = request
  const { manifest } = finished
  // These names become one of a file.
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
    // Never into what somebody else has put there, such as a link.
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
    ...{ finished, comparison, beside },
    // An earlier page says nothing about the image.
    findings: withoutPaths(findings, folder, allowedSigners).filter(
      ({ what }) => what !== pageName(manifest),
    ),
    hasSignature: existsSync(join(folder, SIGNATURE_FILE)),
    sums: await readSums(folder),
    bill: bill ?? [],
  }
}

/** Where the folder is on this machine is nobody's business, and another machine has to write the same page. */
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
