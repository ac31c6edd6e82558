import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdtemp, open, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SIGNATURE_FILE, SUMS_FILE } from '../../build/sums.ts'
import { workIn } from '../../files/disk-error.ts'
import { readText } from '../../files/text-file.ts'
import { execa } from '../../process/child-process.ts'
import { SeederError, UsageError } from '../../report/error.ts'

/** The namespace keeps signatures of images apart from those of mail or git. */
const NAMESPACE = 'seeder'

/**
 * Signs `SHA256SUMS` in `folder` and writes `SHA256SUMS.sig`.
 * @param key the text of a private key in OpenSSH's format, without a passphrase
 * @returns the signed text
 * @throws UsageError when ssh-keygen does not accept the key; SeederError when the signature cannot be written
 */
export async function signSums(folder: string, key: string): Promise<Buffer> {
  const sums = join(folder, SUMS_FILE)
  const handle = await openKey(key)
  // It stays after SIGKILL: src/build/output.ts knows its name.
  const partial = join(folder, `${SIGNATURE_FILE}.${randomBytes(6).toString('hex')}`)
  try {
    const text = await readFile(sums)
    const signature = sign(handle, text, NAMESPACE)
    await workIn(folder, async () => {
      // Never through a link that somebody else has put there.
      await writeFile(partial, signature, { flag: 'wx' })
      await rename(partial, join(folder, SIGNATURE_FILE))
    })
    return text
  } finally {
    await rm(partial, { force: true })
    await handle.close()
  }
}

/**
 * Signs a text for `namespace`.
 * @throws UsageError when ssh-keygen does not accept the key
 */
export async function signText(key: string, text: string, namespace: string): Promise<string> {
  const handle = await openKey(key)
  try {
    return sign(handle, Buffer.from(text), namespace)
  } finally {
    await handle.close()
  }
}

/** Who made a signature. */
export interface FoundSigner {
  readonly name: string
  /** Every name that the file of signers has for this key, in any namespace: they belong to the same signer. */
  readonly names: readonly string[]
}

/** Who signed a text for `namespace`, of those in `allowedSigners`, a file; undefined for an invalid signature. */
export async function verifyText(
  text: string,
  signature: string,
  allowedSigners: string,
  namespace: string,
): Promise<FoundSigner | undefined> {
  const { name, names } = await verify({ text, signature, allowedSigners, namespace })
  return name === undefined ? undefined : { name, names }
}

/**
 * Verifies the signature of SHA256SUMS as deploy.sh does.
 * @param allowedSigners the file with those who may sign
 * @returns the signer's name in that file
 * @throws SeederError when nobody in there has signed it, or it was changed since; UsageError without that file
 */
export async function verifySignature(
  sums: Buffer,
  signature: Buffer,
  allowedSigners: string,
): Promise<string> {
  await readFile(allowedSigners).catch((cause: unknown) => {
    throw new UsageError(`${allowedSigners}, which says who may sign images, cannot be read`, {
      fix: `put a line 'NAME namespaces="seeder" ssh-ed25519 KEY' in it for everybody who may sign images`,
      cause,
    })
  })
  const { name, names, stderr } = await verify({
    text: sums,
    signature,
    allowedSigners,
    namespace: NAMESPACE,
  })
  if (name !== undefined) return name
  if (names.length === 0) {
    throw new SeederError(`${SUMS_FILE} is signed by nobody in ${allowedSigners}`, {
      fix: 'do not use the image, or add the signer if you know the key',
      cause: stderr,
    })
  }
  throw new SeederError(`the signature of ${SUMS_FILE} by ${names.join(', ')} is wrong`, {
    fix: 'the file was changed after it was signed, or the signature or the key is for something else: do not use it',
    cause: stderr,
  })
}

/**
 * As `verifySignature`, of the files in a folder.
 * @throws SeederError also when it has no signature
 */
export async function verifySums(folder: string, allowedSigners: string): Promise<string> {
  const signature = await readFile(join(folder, SIGNATURE_FILE)).catch((cause: unknown) => {
    throw new SeederError(`${folder} is not signed: it has no ${SIGNATURE_FILE}`, {
      fix: 'publish it with a key (SEEDER_SIGNING_KEY or --key)',
      cause,
    })
  })
  return verifySignature(await readFile(join(folder, SUMS_FILE)), signature, allowedSigners)
}

/** Opens a file with the key. ssh-keygen needs the last line break, which secrets often lose. */
function openKey(key: string): Promise<FileHandle> {
  return namelessFile(`${key.replaceAll('\r', '').trim()}\n`)
}

/** Signs a text with the key in an open file. */
function sign(key: FileHandle, text: Buffer, namespace: string): string {
  const { status, stdout, stderr } = spawnSync(
    'ssh-keygen',
    // Without this, it would prompt for a passphrase.
    ['-q', '-P', '', '-Y', 'sign', '-f', '/proc/self/fd/3', '-n', namespace],
    { stdio: ['pipe', 'pipe', 'pipe', key.fd], input: text, encoding: 'utf8' },
  )
  if (status === 0) return stdout
  throw new UsageError('could not sign with the given key', {
    fix: 'give a private key without a passphrase in OpenSSH’s format, as ssh-keygen -t ed25519 -N "" makes one',
    cause: stderr,
  })
}

/**
 * Writes a text to a file without a name: nothing of a key stays on the disk, even if this process is killed. It is in
 * memory where /dev/shm exists.
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

interface Signed {
  readonly text: string | Buffer
  readonly signature: string | Buffer
  readonly allowedSigners: string
  readonly namespace: string
}

/**
 * The names in `allowedSigners` of the key that made a signature; the first of them for which it is valid; and the last
 * error of ssh-keygen.
 */
async function verify({
  text,
  signature,
  allowedSigners,
  namespace,
}: Signed): Promise<{ name?: string; names: string[]; stderr: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-verify-'))
  try {
    const file = join(folder, 'signature')
    await writeFile(file, signature)
    let { names, stderr } = await findPrincipals(file, allowedSigners, join(folder, 'line'))
    for (const name of names) {
      const argv = ['-Y', 'verify', '-f', allowedSigners, '-I', name, '-n', namespace, '-s', file]
      const verified = await execa('ssh-keygen', argv, { reject: false, stdin: 'pipe', input: text })
      if (verified.exitCode === 0) return { name, names, stderr: '' }
      stderr = verified.stderr
    }
    return { names, stderr }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * `ssh-keygen -Y find-principals` looks only at the first line with the key, which may be for another namespace: it
 * gets each line by itself, in the file `scratch`.
 */
async function findPrincipals(
  signature: string,
  allowedSigners: string,
  scratch: string,
): Promise<{ names: string[]; stderr: string }> {
  const lines = (await readText(allowedSigners, { pipes: true })).split('\n')
  const names = new Set<string>()
  let last = ''
  for (const line of lines.filter((text) => /^\s*[^#\s]/.test(text))) {
    await writeFile(scratch, `${line}\n`)
    const argv = ['-Y', 'find-principals', '-s', signature, '-f', scratch]
    const { exitCode, stdout, stderr } = await execa('ssh-keygen', argv, { reject: false, stdin: 'ignore' })
    last = stderr || last
    // `!NAME` excludes a name.
    const found = exitCode === 0 ? stdout.split(/[,\n]/).filter((name) => /^[^!]/.test(name)) : []
    for (const name of found) names.add(name)
  }
  return { names: [...names], stderr: last }
}
