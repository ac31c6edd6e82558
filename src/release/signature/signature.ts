import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdtemp, open, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { workIn } from '../../files/disk-error.ts'
import { readText } from '../../files/text-file.ts'
import { execa } from '../../process/child-process.ts'
import { SeederError, UsageError } from '../../report/error.ts'
import { SIGNATURE_FILE, SUMS_FILE } from '../format/sums.ts'

/** What a signature is for, so that one made for mail or git is not taken for one of an image. */
const NAMESPACE = 'seeder'

/**
 * Signs `SHA256SUMS` in `folder` and leaves `SHA256SUMS.sig` beside it.
 * @param key the text of a private key in OpenSSH's format, without a passphrase
 * @returns what was signed
 * @throws UsageError when ssh-keygen does not take the key, SeederError when there is no room for the signature
 */
export async function signSums(folder: string, key: string): Promise<Buffer> {
  const sums = join(folder, SUMS_FILE)
  const handle = await keyFile(key)
  // After SIGKILL it stays: src/build/output.ts knows it for one of ours.
  const partial = join(folder, `${SIGNATURE_FILE}.${randomBytes(6).toString('hex')}`)
  try {
    const text = await readFile(sums)
    const signature = sign(handle, text, NAMESPACE)
    await workIn(folder, async () => {
      // Never into what somebody else has put there, such as a link.
      await writeFile(partial, signature, { flag: 'wx' })
      await rename(partial, join(folder, SIGNATURE_FILE))
    })
    return text
  } finally {
    await rm(partial, { force: true })
    await handle.close()
  }
}

/** Signs a text for `namespace`. Throws UsageError when ssh-keygen does not take the key. */
export async function signText(key: string, text: string, namespace: string): Promise<string> {
  const handle = await keyFile(key)
  try {
    return sign(handle, Buffer.from(text), namespace)
  } finally {
    await handle.close()
  }
}

/** Who made a signature. */
export interface FoundSigner {
  readonly name: string
  /** Every name that the file of signers has for this key, whatever for: they are of one and the same signer. */
  readonly names: readonly string[]
}

/**
 * Who signed a text for `namespace`, of those in `allowedSigners`; undefined when the signature is nobody's, or wrong.
 */
export async function verifyText(
  text: string,
  signature: string,
  allowedSigners: string,
  namespace: string,
): Promise<FoundSigner | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-verify-'))
  try {
    const file = join(folder, 'signature')
    await writeFile(file, signature)
    const { names } = await findPrincipals(file, allowedSigners)
    const { name } = await verifyAsAny(names, text, file, allowedSigners, namespace)
    return name === undefined ? undefined : { name, names }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The key in an open file. A secret often loses its last line break on its way, and ssh-keygen does not take it then. */
function keyFile(key: string): Promise<FileHandle> {
  return namelessFile(`${key.replaceAll('\r', '').trim()}\n`)
}

/** What ssh-keygen makes of a text, with the key that an open file holds. */
function sign(key: FileHandle, text: Buffer, namespace: string): string {
  const { status, stdout, stderr } = spawnSync(
    'ssh-keygen',
    // With an empty passphrase it reads none.
    ['-q', '-P', '', '-Y', 'sign', '-f', '/proc/self/fd/3', '-n', namespace],
    { stdio: ['pipe', 'pipe', 'pipe', key.fd], input: text, encoding: 'utf8' },
  )
  if (status === 0) return stdout
  throw new UsageError('could not sign with the key that was given', {
    fix: 'give a private key without a passphrase in OpenSSH’s format, as ssh-keygen -t ed25519 -N "" makes one',
    cause: stderr,
  })
}

/**
 * An open file that has no name any more when its text is written: nothing of a key is left behind, not even when
 * this process is killed. In memory where there is a /dev/shm.
 */
async function namelessFile(text: string): Promise<FileHandle> {
  const name = `.seeder-${process.pid}-${Math.random().toString(36).slice(2)}`
  const make = async (folder: string) => {
    const handle = await open(join(folder, name), 'wx+', 0o600)
    await unlink(join(folder, name))
    return handle
  }
  const handle = await make('/dev/shm').catch(() => make(tmpdir()))
  await handle.writeFile(text)
  return handle
}

/**
 * Checks that `SHA256SUMS` in `folder` is signed by somebody in the file `allowedSigners`, as deploy.sh does.
 * @returns the signer's name in that file
 * @throws SeederError when it is not signed, by nobody in there, or was changed since
 */
export async function verifySums(folder: string, allowedSigners: string): Promise<string> {
  const sums = join(folder, 'SHA256SUMS')
  const text = await readFile(sums)
  const signature = `${sums}.sig`
  await readFile(signature).catch((cause: unknown) => {
    throw new SeederError(`${folder} is not signed: it has no SHA256SUMS.sig`, {
      fix: 'publish it with a key (SEEDER_SIGNING_KEY or --key)',
      cause,
    })
  })
  await readFile(allowedSigners).catch((cause: unknown) => {
    throw new UsageError(`${allowedSigners}, which says who may sign images, cannot be read`, {
      fix: `put a line 'NAME namespaces="seeder" ssh-ed25519 KEY' in it for everybody who may sign images`,
      cause,
    })
  })
  const { names, stderr } = await findPrincipals(signature, allowedSigners)
  if (names.length === 0) {
    throw new SeederError(`SHA256SUMS is signed by nobody in ${allowedSigners}`, {
      fix: 'do not use the image, or add the signer if you know the key',
      cause: stderr,
    })
  }
  const verified = await verifyAsAny(names, text, signature, allowedSigners, NAMESPACE)
  if (verified.name !== undefined) return verified.name
  throw new SeederError(`the signature of SHA256SUMS by ${names.join(', ')} is wrong`, {
    fix: 'the file was changed after it was signed, or the signature or the key is for something else: do not use it',
    cause: verified.stderr,
  })
}

/**
 * Whose key made the signature in a file, by the names in `allowedSigners`; and what ssh-keygen said. It looks at the first
 * line with the key only, which may be for another namespace: here it gets each line by itself.
 */
async function findPrincipals(
  signature: string,
  allowedSigners: string,
): Promise<{ names: string[]; stderr: string }> {
  const lines = (await readText(allowedSigners, { pipes: true })).split('\n')
  const folder = await mkdtemp(join(tmpdir(), 'seeder-signers-'))
  const names = new Set<string>()
  let last = ''
  try {
    const file = join(folder, 'line')
    for (const line of lines.filter((one) => /^\s*[^#\s]/.test(one))) {
      await writeFile(file, `${line}\n`)
      const argv = ['-Y', 'find-principals', '-s', signature, '-f', file]
      const { exitCode, stdout, stderr } = await execa('ssh-keygen', argv, quiet)
      last = stderr || last
      // `!NAME` says who it is not.
      const found = exitCode === 0 ? stdout.split(/[,\n]/).filter((name) => /^[^!]/.test(name)) : []
      for (const name of found) names.add(name)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return { names: [...names], stderr: last }
}

/** The first of these names as which the signature is right; or what ssh-keygen said about the last of them. */
async function verifyAsAny(
  names: readonly string[],
  text: string | Buffer,
  signature: string,
  allowedSigners: string,
  namespace: string,
): Promise<{ name: string | undefined; stderr: string }> {
  let last = ''
  for (const name of names) {
    const argv = ['-Y', 'verify', '-f', allowedSigners, '-I', name, '-n', namespace, '-s', signature]
    const { exitCode, stderr } = await execa('ssh-keygen', argv, { ...quiet, stdin: 'pipe', input: text })
    if (exitCode === 0) return { name, stderr: '' }
    last = stderr
  }
  return { name: undefined, stderr: last }
}

const quiet = { reject: false, stdin: 'ignore' } as const
