import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdtemp, open, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from '../child-process.ts'
import { workIn } from '../disk-error.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { SIGNATURE_FILE, SUMS_FILE } from './sums.ts'

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

/**
 * Who signed a text for `namespace`, of those in `allowedSigners`; undefined when the signature is nobody's, or wrong.
 */
export async function verifyText(
  text: string,
  signature: string,
  allowedSigners: string,
  namespace: string,
): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-verify-'))
  try {
    const file = join(folder, 'signature')
    await writeFile(file, signature)
    const found = await execa(
      'ssh-keygen',
      ['-Y', 'find-principals', '-s', file, '-f', allowedSigners],
      quiet,
    )
    for (const name of found.exitCode === 0 ? found.stdout.split(/[,\n]/) : []) {
      if (name === '') continue
      const argv = ['-Y', 'verify', '-f', allowedSigners, '-I', name, '-n', namespace, '-s', file]
      const { exitCode } = await execa('ssh-keygen', argv, { ...quiet, stdin: 'pipe', input: text })
      if (exitCode === 0) return name
    }
    return undefined
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
    // With an empty passphrase it does not ask for one.
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
  const [signer] = names
  if (signer === undefined) {
    throw new SeederError(`SHA256SUMS is signed by nobody in ${allowedSigners}`, {
      fix: 'do not use the image, or add the signer if you know the key',
      cause: stderr,
    })
  }
  const verified = await verifyAs(signer, text, signature, allowedSigners, NAMESPACE)
  if (verified.exitCode === 0) return signer
  throw new SeederError(`the signature of SHA256SUMS by ${signer} is wrong`, {
    fix: 'the file was changed after it was signed, or the signature is for something else: do not use it',
    cause: verified.stderr,
  })
}

/** Whose key made the signature in a file, by the names in `allowedSigners`; and what ssh-keygen said. */
async function findPrincipals(
  signature: string,
  allowedSigners: string,
): Promise<{ names: string[]; stderr: string }> {
  const argv = ['-Y', 'find-principals', '-s', signature, '-f', allowedSigners]
  const { exitCode, stdout, stderr } = await execa('ssh-keygen', argv, quiet)
  return { names: exitCode === 0 ? stdout.split(/[,\n]/).filter(Boolean) : [], stderr }
}

function verifyAs(
  name: string,
  text: string | Buffer,
  signature: string,
  allowedSigners: string,
  namespace: string,
) {
  const argv = ['-Y', 'verify', '-f', allowedSigners, '-I', name, '-n', namespace, '-s', signature]
  return execa('ssh-keygen', argv, { ...quiet, stdin: 'pipe', input: text })
}

const quiet = { reject: false, stdin: 'ignore' } as const
