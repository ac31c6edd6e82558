import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { download, downloadFailure } from '../http/download.ts'
import { execa } from '../process/child-process.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import { fillIn } from './artifact.ts'
import type { ImageDefinition } from './schema.ts'

/** An additional apt repository, which may provide a few named packages. */
export interface Repository {
  readonly name: string
  /** Ends in a slash. */
  readonly url: string
  readonly suite: string
  readonly components: readonly string[]
  readonly packages: readonly string[]
  readonly key: { readonly fingerprint: string; readonly url: string | undefined; readonly file: string }
}

/** The repositories of an image for a line. `folder` is the image's. */
export function repositoriesOf(
  repositories: ImageDefinition['repositories'],
  folder: string,
  line: string | undefined,
): Repository[] {
  return Object.entries(repositories).map(([name, { url, suite, components, packages, key }]) => {
    const fill = (text: string) => fillIn(text, { line: line ?? '' })
    return {
      name,
      suite,
      components,
      packages,
      url: `${fill(url).replace(/\/+$/, '')}/`,
      key: {
        fingerprint: key.fingerprint,
        url: key.url === undefined ? undefined : fill(key.url),
        file: join(folder, key.file),
      },
    }
  })
}

/**
 * Requires that the file of a repository's key has only the key with the fingerprint in the definition, because apt trusts
 * every key of the file. A missing file is downloaded.
 * @throws SeederError when the key cannot be downloaded, is another one, or has expired
 */
export async function provideKey(repository: Repository): Promise<void> {
  const { key, name } = repository
  if (!existsSync(key.file)) await fetchKey(repository)
  const found = await readKeys(key.file)
  const primary = found.filter((candidate) => candidate.primary)
  if (primary.length !== 1 || primary[0]?.fingerprint !== key.fingerprint) {
    throw new SeederError(
      `${key.file} is not the key of the repository ${name}: it has ${primary.map(({ fingerprint }) => fingerprint).join(', ') || 'no key'}, image.yaml names ${key.fingerprint}`,
      { fix: 'get the key from the repository’s owner, and check its fingerprint with them' },
    )
  }
  const expired = primary[0].expires !== undefined && primary[0].expires * 1000 < Date.now()
  if (!expired) return
  throw new SeederError(
    `The key of the repository ${name} in ${key.file} has expired on ${new Date((primary[0].expires ?? 0) * 1000).toISOString().slice(0, 10)}`,
    {
      fix: `remove the file: lock downloads the current one${key.url === undefined ? '' : ` from ${key.url}`}`,
    },
  )
}

async function fetchKey({ name, key }: Repository): Promise<void> {
  if (key.url === undefined) {
    throw new SeederError(`The key of the repository ${name} is missing: ${key.file}`, {
      fix: `put it there; its fingerprint has to be ${key.fingerprint}`,
    })
  }
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of download(key.url, { signal: interruption })) chunks.push(chunk)
  } catch (error) {
    interruption.throwIfAborted()
    throw new SeederError(
      `Fetching the key of the repository ${name} failed: ${key.url}: ${downloadFailure(error)}`,
      { fix: `check the network, or put the key into ${key.file}` },
    )
  }
  const partial = `${key.file}.${process.pid}.tmp`
  await mkdir(dirname(key.file), { recursive: true })
  try {
    await writeFile(partial, Buffer.concat(chunks))
    const primary = (await readKeys(partial)).filter((candidate) => candidate.primary)
    if (primary.length !== 1 || primary[0]?.fingerprint !== key.fingerprint) {
      throw new SeederError(
        `${key.url} is not the key that image.yaml names (${key.fingerprint}): it has ${primary.map(({ fingerprint }) => fingerprint).join(', ') || 'no key'}`,
        { fix: 'find out why before you trust it: contact the repository’s owner' },
      )
    }
    await rename(partial, key.file)
  } finally {
    await rm(partial, { force: true })
  }
}

interface Key {
  readonly primary: boolean
  readonly fingerprint: string
  /** Seconds since 1970. */
  readonly expires: number | undefined
}

/** The keys in an OpenPGP file. */
async function readKeys(file: string): Promise<Key[]> {
  const home = await mkdtemp(join(tmpdir(), 'seeder-gpg-'))
  try {
    const argv = ['--homedir', home, '--batch', '--no-tty', '--with-colons', '--show-keys', file]
    const { stdout, exitCode, code } = await execa('gpg', argv, { reject: false, env: { LC_ALL: 'C.UTF-8' } })
    if (code === 'ENOENT') {
      throw new SeederError('gpg is needed to read the key of a repository, and is not installed', {
        fix: 'run scripts/setup.sh, which installs gnupg',
      })
    }
    return exitCode === 0 ? parseKeys(stdout) : []
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

/** Parses `gpg --with-colons`: a `pub` or `sub` line, then its `fpr` line; field 7 is the expiry, field 10 the fingerprint. */
export function parseKeys(listing: string): Key[] {
  const keys: Key[] = []
  let open: { primary: boolean; expires: number | undefined } | undefined
  for (const fields of listing.split('\n').map((line) => line.split(':'))) {
    const [kind, , , , , , expires] = fields
    if (kind === 'pub' || kind === 'sub') {
      open = { primary: kind === 'pub', expires: expires ? Number(expires) : undefined }
    } else if (kind === 'fpr' && open) {
      keys.push({ ...open, fingerprint: fields[9] ?? '' })
      open = undefined
    }
  }
  return keys
}
