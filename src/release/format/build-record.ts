import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Manifest, manifestName, manifestSchema } from '../../build/manifest.ts'
import { readOutput } from '../../build/output.ts'
import { type FileInventory, inventorySchema } from '../../evidence/inventory.ts'
import { cyclonedxName, inventoryName, provenanceName } from '../../evidence/names.ts'
import { type Provenance, provenanceSchema } from '../../evidence/provenance.ts'
import { checkJson, jsonOf, UnreadableJson, whyNot } from '../../files/json.ts'
import { decoded, readText } from '../../files/text-file.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { type Contained, readContained } from '../../scan/contained.ts'
import { readAssetText } from './asset-text.ts'
import { requireTag } from './tag.ts'
import { REPORT_FILE, type TestRecord, testRecordSchema } from './test-report.ts'

/** A finished image: its manifest and, where they exist, the test report and the evidence. */
export interface BuildRecord {
  readonly manifest: Manifest
  readonly record?: TestRecord | undefined
  /** Undefined for an image of an older version of Seeder, as the next two. */
  readonly inventory?: FileInventory | undefined
  readonly provenance?: Provenance | undefined
  /** Reads its bill of materials. */
  readonly contained?: (() => Promise<Contained | undefined>) | undefined
}

/**
 * Reads a build or a download without verifying digests.
 * @throws SeederError when the folder holds neither
 */
export async function readBuildRecord(folder: string): Promise<BuildRecord> {
  const { manifest } = await readOutput(folder)
  const read = async (name: string) => {
    const file = join(folder, name)
    if (!existsSync(file)) return undefined
    return wholeJson(file, await readText(file))
  }
  return recordOf(manifest, read)
}

/**
 * Reads the small files of a release; undefined when it has no manifest.
 * @throws SeederError when GitHub cannot be reached, or a file is invalid
 */
export async function readReleaseRecord(
  releases: Releases,
  release: Release,
  signal: AbortSignal,
): Promise<BuildRecord | undefined> {
  const version = requireTag(release.tag)
  const read = async (name: string) => {
    const asset = release.assets.find((found) => found.name === name)
    if (asset === undefined) return undefined
    const content = await readAssetText(releases, asset, signal)
    return wholeJson(`${name} of ${release.tag}`, decoded(content, `${name} of ${release.tag}`))
  }
  const manifest = await read(manifestName(version))
  if (manifest === undefined) return undefined
  try {
    return await recordOf(checkJson(manifest, manifestSchema), read)
  } catch (cause) {
    if (!(cause instanceof UnreadableJson)) throw cause
    throw new SeederError(`the manifest of ${release.tag} is invalid: ${cause.message}`, {
      fix: `see ${release.url}: Seeder did not make it like this`,
      cause,
    })
  }
}

/** A damaged file is an error: otherwise a comparison would silently be incomplete. */
function wholeJson(name: string, text: string): unknown {
  try {
    return jsonOf(text)
  } catch (cause) {
    throw new SeederError(`${name} cannot be read: ${whyNot(cause)}`, {
      fix: 'build or download the image again',
      cause,
    })
  }
}

/** Files of older versions may have another form: those are left out. */
async function recordOf(manifest: Manifest, read: (name: string) => Promise<unknown>): Promise<BuildRecord> {
  return {
    manifest,
    record: testRecordSchema.safeParse(await read(REPORT_FILE)).data,
    inventory: inventorySchema.safeParse(await read(inventoryName(manifest))).data,
    provenance: provenanceSchema.safeParse(await read(provenanceName(manifest))).data,
    contained: () => readBill(cyclonedxName(manifest), read),
  }
}

async function readBill(
  name: string,
  read: (name: string) => Promise<unknown>,
): Promise<Contained | undefined> {
  const bill = await read(name)
  try {
    return bill === undefined ? undefined : readContained(bill, name)
  } catch (error) {
    if (error instanceof SeederError) return undefined
    throw error
  }
}
