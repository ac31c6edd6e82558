import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { removeDurably, writeAtomically } from '../../files/atomic-file.ts'
import { isVendorDataOf } from '../../guest/vendor-data.ts'
import { SeederError, UsageError } from '../../report/error.ts'
import type { NodeEntry } from './ledger.ts'

/**
 * Writes a node's vendor data, for root alone.
 * @throws UsageError when another file has that name
 */
export async function writeSnippet({ snippet, token, name }: NodeEntry, text: string): Promise<void> {
  const before = await readFile(snippet.file, 'utf8').catch(() => undefined)
  if (before !== undefined && !isVendorDataOf(token, before)) {
    throw new UsageError(`${snippet.file} exists already, and was not written for ${name}`, {
      fix: 'see what it is; choose another name for the node, or move the file away',
    })
  }
  await mkdir(dirname(snippet.file), { recursive: true })
  await writeAtomically(snippet.file, text, 0o600)
}

/**
 * Removes a node's vendor data.
 * @throws SeederError when its folder is missing, so that the file may still exist
 */
export async function removeSnippet({ name, snippet, token, cloned }: NodeEntry): Promise<void> {
  if (cloned && !existsSync(dirname(snippet.file))) {
    throw new SeederError(
      `The vendor data of ${name} cannot be removed: there is no ${dirname(snippet.file)}`,
      {
        fix: 'see whether the storage is active: pvesm status; then run it again',
      },
    )
  }
  const text = await readFile(snippet.file, 'utf8').catch(() => undefined)
  if (text === undefined || isVendorDataOf(token, text)) await removeDurably(snippet.file)
}
