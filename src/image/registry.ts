import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from '../process/child-process.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import { mirrorVariable, trimSlashes } from './mirrors.ts'
import { formatReference, type Reference } from './reference.ts'

/** A registry is silent for this long: it is away. */
const SILENCE_MS = 60_000

const ATTEMPTS = '3'

/** The environment variable that names a mirror of a registry: registry.k8s.io → SEEDER_MIRROR_REGISTRY_K8S_IO. */
export function registryVariable(registry: string): string {
  return mirrorVariable(registry.replaceAll(/[^a-z0-9]/g, '-'))
}

/** Where skopeo reads a repository: the registry, or the mirror that the environment names. */
export function sourceOf(
  { registry, repository }: Reference,
  env: NodeJS.ProcessEnv = process.env,
): { place: string; plain: boolean } {
  const mirror = env[registryVariable(registry)]
  if (!mirror) return { place: `docker://${registry}/${repository}`, plain: false }
  const host = trimSlashes(mirror).replace(/^https?:\/\//, '')
  return { place: `docker://${host}/${repository}`, plain: mirror.startsWith('http://') }
}

/**
 * The bytes of an image's manifest or list of manifests, by tag or digest; with `config` those of its configuration.
 * @param at `:TAG` or `@sha256:DIGEST`
 * @throws SeederError with the registry's reason
 */
export async function readManifest(
  reference: Reference,
  at: string,
  { config = false } = {},
): Promise<Uint8Array> {
  const { place, plain } = sourceOf(reference)
  const argv = [
    ['--insecure-policy', '--command-timeout', '2m', 'inspect', '--raw', config ? ['--config'] : []],
    ['--no-creds', `--tls-verify=${!plain}`, '--retry-times', ATTEMPTS, `${place}${at}`],
  ].flat(2)
  const result = await execa('skopeo', argv, {
    reject: false,
    encoding: 'buffer',
    stripFinalNewline: false,
    cancelSignal: interruption,
  })
  interruption.throwIfAborted()
  if (result.exitCode === 0) return result.stdout
  throw registryFailure(reference, place, skopeoReason(result))
}

/**
 * Copies an image as the registry has it into an empty folder: `manifest.json`, and each blob by its digest in hex.
 * @param limits a file that is longer is not written to its end
 * @throws SeederError with the registry's reason
 */
export async function copyImage(
  reference: Reference,
  sha256: string,
  folder: string,
  { most, silenceMs = SILENCE_MS }: CopyLimits,
): Promise<void> {
  const { place, plain } = sourceOf(reference)
  const silent = new AbortController()
  let seen = -1
  const watch = setInterval(async () => {
    const size = await sizeOf(folder).catch(() => seen)
    if (size === seen) silent.abort()
    seen = size
  }, silenceMs)
  const argv = [
    [`--fsize=${most}`, '--', 'skopeo', '--insecure-policy', 'copy', '--quiet', '--preserve-digests'],
    ['--src-no-creds', `--src-tls-verify=${!plain}`, '--retry-times', ATTEMPTS],
    [`${place}@sha256:${sha256}`, `dir:${folder}`],
  ].flat()
  const result = await execa('prlimit', argv, {
    reject: false,
    cancelSignal: AbortSignal.any([silent.signal, interruption]),
    killSignal: 'SIGKILL',
  }).finally(() => clearInterval(watch))
  interruption.throwIfAborted()
  if (result.exitCode === 0) return
  const reason = silent.signal.aborted
    ? `no data for ${silenceMs / 1000} s`
    : result.signal === 'SIGXFSZ' || /file too large/i.test(result.stderr)
      ? `a blob is longer than the ${most} bytes of the lock`
      : skopeoReason(result)
  throw registryFailure(reference, place, reason)
}

/** The limits of `copyImage`: `most` bytes of a file, and how long nothing may come. */
export interface CopyLimits {
  readonly most: number
  readonly silenceMs?: number | undefined
}

async function sizeOf(folder: string): Promise<number> {
  let sum = 0
  for (const name of await readdir(folder)) sum += (await stat(join(folder, name))).size
  return sum
}

/** The message of skopeo's last line: `time="…" level=fatal msg="…"`. */
function skopeoReason({ stderr, code, exitCode }: SkopeoResult): string {
  const text = typeof stderr === 'string' ? stderr : Buffer.from(stderr ?? []).toString('utf8')
  if (code === 'ENOENT' || /failed to execute skopeo/.test(text)) return 'skopeo is not installed'
  const last = text.trim().split('\n').at(-1) ?? ''
  const [, message] = /msg="((?:[^"\\]|\\.)*)"/.exec(last) ?? []
  const reason = (message ?? last).replaceAll(/\\(.)/g, '$1').trim()
  // The name is right: it is the registry that has a reason.
  return reason.replace(/^Error parsing image name "[^"]*": /, '') || `skopeo ended with ${exitCode}`
}

interface SkopeoResult {
  readonly stderr?: string | Uint8Array | undefined
  readonly code?: string | undefined
  readonly exitCode?: number | undefined
}

function registryFailure(reference: Reference, place: string, reason: string): SeederError {
  const { registry, repository } = reference
  const from = place === `docker://${registry}/${repository}` ? '' : ` from ${place.replace('docker://', '')}`
  return new SeederError(
    `Reading the container image ${formatReference(reference)}${from} failed: ${reason}`,
    {
      fix: fixFor(reason, registry),
    },
  )
}

function fixFor(reason: string, registry: string): string {
  if (reason === 'skopeo is not installed') return 'run scripts/setup.sh'
  if (/no space left|quota exceeded/i.test(reason))
    return 'free some space, or move the cache with XDG_CACHE_HOME'
  if (/unauthorized|authentication required|denied/i.test(reason)) {
    return `an image has public container images only: use one that needs no login, or set ${registryVariable(registry)} to the URL of a mirror`
  }
  if (/manifest unknown|not found|name unknown/i.test(reason)) return 'check the reference in image.yaml'
  if (/of the lock|digest/i.test(reason)) {
    return 'the registry serves another file than the digest is of: find out why, before you write a lock'
  }
  return `check the network and the proxy, or set ${registryVariable(registry)} to the URL of a mirror`
}
