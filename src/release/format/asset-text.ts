import { createHash } from 'node:crypto'
import type { Asset, Releases } from '../../github/release.ts'
import { backoff, retry, type Wait } from '../../http/retry.ts'
import { SeederError } from '../../report/error.ts'

/** Maximum bytes of a file other than the disk: enough for the evidence of a big image and a long test report. */
export const MOST_BYTES = 16 * 1024 ** 2

/** Maximum attempts of a download. */
const ATTEMPTS = 3

/**
 * Downloads a small asset into memory.
 * @throws SeederError when it is too big, cannot be downloaded, or does not have the digest that GitHub has
 */
export async function readAssetText(releases: Releases, asset: Asset, signal: AbortSignal): Promise<Buffer> {
  if (asset.size > MOST_BYTES) {
    throw new SeederError(`${asset.name} has ${asset.size} bytes; at most ${MOST_BYTES} are expected`, {
      fix: 'find out who made that release: Seeder did not',
    })
  }
  const content = await readWhole(releases, asset, signal)
  const found = createHash('sha256').update(content).digest('hex')
  if (asset.sha256 !== undefined && found !== asset.sha256) {
    throw new SeederError(
      `${asset.name} came as something else than GitHub has (sha256 ${found}, not ${asset.sha256})`,
      { fix: 'run it again; if that does not help, something between this machine and GitHub changes files' },
    )
  }
  return content
}

async function readWhole(releases: Releases, asset: Asset, signal: AbortSignal): Promise<Buffer> {
  const attempt = async () => {
    const { bytes } = await releases.download(asset)
    return Buffer.concat(await bytes.toArray())
  }
  const usual = backoff(ATTEMPTS, 0)
  // The client has repeated a request that GitHub refused: only a broken connection is left.
  const wait: Wait = (failures, error) => (error instanceof SeederError ? undefined : usual(failures))
  try {
    return await retry(attempt, { signal, wait })
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof SeederError) throw cause
    throw new SeederError(`could not download ${asset.name}: the connection broke off ${ATTEMPTS} times`, {
      fix: 'check that this machine reaches GitHub, then run it again',
      cause,
    })
  }
}
