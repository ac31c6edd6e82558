import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'

/** A signing key of an archive, made for a test. */
export interface SigningKey {
  /** The public key, as a keyring that apt's signed-by takes. */
  readonly keyring: string
  /** The text with a signature around it, as an InRelease file has it. */
  sign(text: string): Promise<string>
  /** Ends the agent that gpg started and removes the key. */
  discard(): Promise<void>
}

/** Makes a key that is valid for as long as gpg's `expires` says. Its home has a short path of its own: gpg's agent listens on a socket below it. */
export async function createKey(name: string, expires = 'never'): Promise<SigningKey> {
  const home = await mkdtemp(join(tmpdir(), 'seeder-key-'))
  const gpg = (argv: string[], input = '') =>
    execa('gpg', ['--homedir', home, '--batch', '--quiet', '--no-tty', ...argv], {
      input,
      encoding: 'buffer',
    })
  await gpg([
    '--passphrase',
    '',
    '--quick-generate-key',
    `${name} <${name}@example.internal>`,
    'ed25519',
    'sign',
    expires,
  ])
  const keyring = join(home, `${name}.gpg`)
  const exported = (await gpg(['--export'])).stdout
  // gpg ends with 0 when it exported nothing.
  if (exported.length === 0) throw new Error(`gpg made no key in ${home}`)
  await writeFile(keyring, exported)
  return {
    keyring,
    async sign(text) {
      return Buffer.from((await gpg(['--clear-sign', '--output', '-'], text)).stdout).toString()
    },
    async discard() {
      await execa('gpgconf', ['--homedir', home, '--kill', 'gpg-agent'], { reject: false })
      await rm(home, { recursive: true, force: true })
    },
  }
}
