import { setTimeout as delay } from 'node:timers/promises'
import type { Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'

/** GitHub creates the tag with the release; its replicas may know it a moment later. */
const waitsMs = [1000, 2000, 4000]

/**
 * Requires that a tag, if it exists, refers to this commit; with `exists`, that it exists.
 * @throws SeederError otherwise
 */
export async function requireTagOf(
  releases: Releases,
  tag: string,
  commit: string,
  required?: { exists: true; signal: AbortSignal },
): Promise<void> {
  let found = await releases.tagCommit(tag)
  for (const ms of required ? waitsMs : []) {
    if (found !== undefined) break
    await delay(ms, undefined, { signal: required?.signal })
    found = await releases.tagCommit(tag)
  }
  if (found === commit || (found === undefined && required === undefined)) return
  if (found === undefined) {
    throw new SeederError(`${tag} was published, and there is no such tag in ${releases.repository}`, {
      fix: 'see whether somebody deleted it',
    })
  }
  throw new SeederError(`the tag ${tag} is of commit ${found}; the image was built from ${commit}`, {
    fix: 'build the commit of the tag, or raise the revision; or delete the tag if it was pushed by mistake',
  })
}
