import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'

/** A signing key of an archive, made for a test. */
export interface SigningKey {
  /** The public key, as a keyring that apt's signed-by takes. */
  readonly keyring: string
  /** The public key as text. */
  readonly armored: string
  /** 40 hexadecimal digits in upper case. */
  readonly fingerprint: string
  /** The text with a signature around it, as an InRelease file has it. */
  sign(text: string): Promise<string>
  /** Ends the agent that gpg started and removes the key. */
  discard(): Promise<void>
}

const DAY_S = 24 * 60 * 60

/**
 * Makes a key. It was made two days ago, by its own account, and signed everything a moment later, so that neither a
 * clock that is set back while the tests run nor one that counts in whole seconds makes it a key of the future, whose
 * signatures nobody accepts. An `expired` one was valid for a day.
 * Its home has a short path of its own: gpg's agent listens on a socket below it.
 */
export async function createKey(name: string, { expired = false } = {}): Promise<SigningKey> {
  const home = await mkdtemp(join(tmpdir(), 'seeder-key-'))
  const made = Math.floor(Date.now() / 1000) - 2 * DAY_S
  const gpg = (argv: string[], options: { at?: number; input?: string } = {}) => {
    const clock = options.at === undefined ? [] : ['--faked-system-time', `${options.at}!`]
    const common = ['--homedir', home, '--batch', '--quiet', '--no-tty', ...clock]
    // A binary key may end with the byte of a newline, which is part of it: one in sixteen does.
    const exact = { encoding: 'buffer', stripFinalNewline: false } as const
    return execa('gpg', [...common, ...argv], { input: options.input ?? '', ...exact })
  }
  const user = `${name} <${name}@example.internal>`
  const expiry = expired ? '1d' : 'never'
  await gpg(['--passphrase', '', '--quick-generate-key', user, 'ed25519', 'sign', expiry], { at: made })
  const keyring = join(home, `${name}.gpg`)
  const exported = (await gpg(['--export'])).stdout
  // gpg ends with 0 when it exported nothing.
  if (exported.length === 0) throw new Error(`gpg made no key in ${home}`)
  await writeFile(keyring, exported)
  const armored = Buffer.from((await gpg(['--export', '--armor'])).stdout).toString()
  const listed = Buffer.from((await gpg(['--with-colons', '--list-keys'])).stdout).toString()
  return {
    keyring,
    armored,
    fingerprint: /^fpr:+([0-9A-F]{40}):/m.exec(listed)?.[1] ?? '',
    async sign(input) {
      const argv = ['--clear-sign', '--output', '-']
      return Buffer.from((await gpg(argv, { at: made + 60, input })).stdout).toString()
    },
    async discard() {
      await execa('gpgconf', ['--homedir', home, '--kill', 'gpg-agent'], { reject: false })
      await rm(home, { recursive: true, force: true })
    },
  }
}
