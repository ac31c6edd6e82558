import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '../../build/manifest.ts'
import { readSums, SUMS_FILE, type Sums } from '../../build/sums.ts'
import { agreement, type Finding, unchecked, wrong } from './finding.ts'
import { folderFiles } from './image-files.ts'
import { verifyEvidence } from './verify-evidence.ts'
import { verifyImage } from './verify-image.ts'

/** What no verification of files covers. */
export const diskContent: Finding = unchecked(
  'disk',
  'content of the disk',
  'deploy.sh compares the imported disk with the manifest, `seeder test` boots it',
)

/**
 * Verifies the folder of a build or a download from its files alone.
 * @param allowedSigners the file with those who may sign; undefined to skip the signature
 * @throws SeederError when the folder does not hold a build
 */
export async function verifyFolder(folder: string, allowedSigners: string | undefined): Promise<Finding[]> {
  await readSums(folder)
  const files = await folderFiles(folder)
  const { findings, sums, manifest } = await verifyImage(files, allowedSigners)
  if (!manifest) return [...findings, diskContent]
  const disk = await checkDiskHeader(folder, manifest, sums)
  return [...findings, disk, ...(await verifyEvidence(files, manifest, sums)), diskContent]
}

/** Checks the header alone: a disk that refers to another file of the host is not allowed. */
async function checkDiskHeader(folder: string, { qcow2, raw }: Manifest, sums: Sums): Promise<Finding> {
  // A name in SHA256SUMS has no path.
  if (!sums.has(qcow2.file)) return wrong('disk', 'qcow2', `${SUMS_FILE} does not name it`)
  const header = Buffer.alloc(80)
  try {
    const handle = await open(join(folder, qcow2.file))
    await handle.read(header, 0, header.length, 0).finally(() => handle.close())
  } catch {
    return wrong('disk', 'qcow2', 'it cannot be read')
  }
  return agreement('disk', 'qcow2', [
    ...(header.readUInt32BE(0) === 0x514649fb && header.readUInt32BE(4) === 3
      ? []
      : ['it is no qcow2 of version 3']),
    ...(header.readBigUInt64BE(8) === 0n ? [] : ['it wants another image as its backing file']),
    ...(header.readBigUInt64BE(24) === BigInt(raw.size) ? [] : [`it is not a disk of ${raw.size} bytes`]),
    ...(header.readUInt32BE(32) === 0 ? [] : ['it is encrypted']),
    ...((header.readBigUInt64BE(72) & 4n) === 0n ? [] : ['it keeps its data in another file']),
  ])
}
