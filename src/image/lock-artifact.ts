import { createHash } from 'node:crypto'
import { download, downloadFailure } from '../http/download.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import type { Artifact } from './artifact.ts'
import type { LockedArtifact } from './lock.ts'

const CHECK_URLS = 'check the network, and the URLs in image.yaml'

/**
 * Locks an artifact: downloads it for its digest and size, and compares the digest with upstream's list and with the
 * definition, where they have one.
 * @throws SeederError when it cannot be downloaded, or when the digests differ
 */
export async function lockArtifact(artifact: Artifact): Promise<LockedArtifact> {
  const { name, version, urls } = artifact
  const title = `${name} ${version}`
  const listed =
    artifact.checksums === undefined ? undefined : await listedDigest(artifact, artifact.checksums)
  const { sha256, size } = await measure(title, urls)
  const claims = [
    { who: `upstream’s list ${artifact.checksums}`, digest: listed },
    { who: 'the definition', digest: artifact.sha256 },
  ]
  for (const { who, digest } of claims) {
    if (digest === undefined || digest === sha256) continue
    throw new SeederError(
      `downloaded ${title} from upstream: its sha256 is ${sha256}, but ${digest} in ${who}`,
      { fix: 'find out why before you use it: the file or the list was changed' },
    )
  }
  return { name, version, urls: [...urls], size, sha256 }
}

/** The digest of an artifact's file in a list as `sha256sum` writes it. */
async function listedDigest({ name, version, urls }: Artifact, list: string): Promise<string> {
  const text = await fetchText(`the digests of ${name} ${version}`, list)
  const file = decodeURIComponent((urls[0] ?? '').split('/').pop() ?? '')
  for (const line of text.split('\n')) {
    const [, digest, path = ''] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line.trim()) ?? []
    if (digest && path.split('/').pop() === file) return digest
  }
  throw new SeederError(`Locking ${name} ${version} failed: ${list} does not list ${file}`, {
    fix: 'check urls and checksums of the artifact in image.yaml',
  })
}

/** Digest and size (bytes) of the file, from the first URL that works. */
async function measure(title: string, urls: readonly string[]): Promise<{ sha256: string; size: number }> {
  const failures: string[] = []
  for (const url of urls) {
    try {
      const hash = createHash('sha256')
      let size = 0
      for await (const chunk of download(url, { signal: interruption })) {
        hash.update(chunk)
        size += chunk.length
      }
      return { sha256: hash.digest('hex'), size }
    } catch (error) {
      interruption.throwIfAborted()
      failures.push(`${url}: ${downloadFailure(error)}`)
    }
  }
  throw new SeederError(`Fetching ${title} failed: ${failures.join('; ')}`, { fix: CHECK_URLS })
}

async function fetchText(what: string, url: string): Promise<string> {
  try {
    const chunks: Uint8Array[] = []
    for await (const chunk of download(url, { signal: interruption })) chunks.push(chunk)
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    interruption.throwIfAborted()
    throw new SeederError(`Fetching ${what} failed: ${url}: ${downloadFailure(error)}`, { fix: CHECK_URLS })
  }
}
