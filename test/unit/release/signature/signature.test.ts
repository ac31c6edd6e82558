import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { signSums, verifySums } from '../../../../src/release/signature/signature.ts'
import { makeSigner, type Signer, sign } from '../../../support/deploy/image.ts'
import { checkout } from '../../../support/seeder.ts'

let folder: string
let signer: Signer
let key: string
let allowed: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-signature-'))
  signer = await makeSigner(join(folder, 'keys'))
  key = await readFile(signer.key, 'utf8')
  allowed = join(folder, 'allowed_signers')
  await writeFile(allowed, signer.allowed)
  await writeFile(join(folder, 'SHA256SUMS'), `${'ab'.repeat(32)}  haproxy.qcow2\n`)
})

afterEach(() => rm(folder, { recursive: true }))

const publicPart = ({ allowed: line }: Signer) => line.split(' ').slice(2).join(' ').trim()

/** What may stand in the file for the same key before the line that counts. */
const otherLines: [string, (publicKey: string) => string][] = [
  ['for git only', (publicKey) => `somebody@example.org namespaces="git" ${publicKey}`],
  ['that has expired', (publicKey) => `somebody@example.org valid-before="20200101" ${publicKey}`],
  ['of several for git', (publicKey) => `a@example.org,b@example.org namespaces="git,file" ${publicKey}`],
  ['of a name with a blank', (publicKey) => `"some body" namespaces="git" ${publicKey}`],
  ['of an authority', (publicKey) => `*@example.org cert-authority ${publicKey}`],
  ['that is broken', () => 'somebody@example.org ssh-ed25519 AAAA'],
]

describe('a signature of SHA256SUMS', () => {
  it('is verified, and names its signer', async () => {
    await signSums(folder, key)
    await expect(verifySums(folder, allowed)).resolves.toBe(signer.name)
    expect((await readdir(folder)).sort()).toEqual([
      'SHA256SUMS',
      'SHA256SUMS.sig',
      'allowed_signers',
      'keys',
    ])
  })

  it('takes a key that has lost its last line break or has those of Windows', async () => {
    await signSums(folder, key.trimEnd())
    await signSums(folder, key.replaceAll('\n', '\r\n'))
    await expect(verifySums(folder, allowed)).resolves.toBe(signer.name)
  })

  it('is the same each time, so that a continued release does not change', async () => {
    await signSums(folder, key)
    const first = await readFile(join(folder, 'SHA256SUMS.sig'), 'utf8')
    await signSums(folder, key)
    expect(await readFile(join(folder, 'SHA256SUMS.sig'), 'utf8')).toBe(first)
  })

  it('does not write into what somebody has put into its place', async () => {
    await symlink(join(folder, 'elsewhere'), join(folder, `SHA256SUMS.sig.${process.pid}`))
    await signSums(folder, key)
    expect(await readdir(folder)).not.toContain('elsewhere')
  })

  it('leaves nothing behind on a disk that is full, and says so', async () => {
    const program = `
      import { readdirSync } from 'node:fs'
      import { signSums } from ${JSON.stringify(join(checkout, 'src/release/signature/signature.ts'))}
      const [, folder, key] = process.argv
      const failure = await signSums(folder, key).catch((error) => error)
      console.log(failure.name, failure.message, readdirSync(folder))`
    // Two pages: one for SHA256SUMS and one for what fills the rest.
    const script =
      'mount -t tmpfs -o size=8k tmpfs "$1"; echo sums > "$1/SHA256SUMS"; echo full > "$1/rest"; exec "$2" --input-type=module -e "$3" "$1" "$4"'
    const small = join(folder, 'small')
    await mkdir(small)
    const { stdout } = await execa('unshare', [
      '--user',
      '--map-root-user',
      '--mount',
      '--',
      'sh',
      '-euc',
      script,
      '-',
      small,
      process.execPath,
      program,
      key,
    ])
    expect(stdout).toContain(`SeederError could not work in ${small}: no space is left on the disk (ENOSPC)`)
    expect(stdout).toContain("[ 'SHA256SUMS', 'rest' ]")
  })

  it.each([
    ['is none', 'no key'],
    ['is cut off', 'CUT'],
  ])('does not take a key that %s', async (_, text) => {
    const given = text === 'CUT' ? key.slice(0, 200) : text
    await expect(signSums(folder, given)).rejects.toMatchObject({ name: 'UsageError' })
    expect(await readdir(folder)).not.toContain('SHA256SUMS.sig')
  })

  it('rejects a key with a passphrase, without a prompt for it', async () => {
    await execa('ssh-keygen', ['-q', '-p', '-N', 'secret', '-f', signer.key])
    await expect(signSums(folder, await readFile(signer.key, 'utf8'))).rejects.toThrow(/could not sign/)
  })

  it('of something else is refused', async () => {
    await signSums(folder, key)
    await writeFile(join(folder, 'SHA256SUMS'), 'other')
    await expect(verifySums(folder, allowed)).rejects.toThrow(/by release@.* is wrong/)
  })

  it('by somebody else is refused', async () => {
    await sign(folder, await makeSigner(join(folder, 'keys'), 'unknown'))
    await expect(verifySums(folder, allowed)).rejects.toThrow(/signed by nobody in/)
  })

  it('for another purpose is refused', async () => {
    await writeFile(allowed, signer.allowed.replace('namespaces="seeder" ', ''))
    await sign(folder, signer, 'git')
    await expect(verifySums(folder, allowed)).rejects.toThrow(/is wrong/)
  })

  it.each(otherLines)('counts, with another line for its key before: %s', async (_, before) => {
    await writeFile(allowed, `# who may sign\n\n${before(publicPart(signer))}\n${signer.allowed.trimEnd()}`)
    await signSums(folder, key)
    await expect(verifySums(folder, allowed)).resolves.toBe(signer.name)
    await writeFile(join(folder, 'SHA256SUMS'), 'other')
    await expect(verifySums(folder, allowed)).rejects.toThrow(new RegExp(`by .*${signer.name}.* is wrong`))
  })

  it.each(otherLines.slice(0, 2))(
    'counts for nothing when that line is the only one: %s',
    async (_, line) => {
      await writeFile(allowed, `${line(publicPart(signer))}\n`)
      await signSums(folder, key)
      await expect(verifySums(folder, allowed)).rejects.toThrow(/is wrong|signed by nobody/)
    },
  )

  it('is by whom of a line it may be by, wildcards and exceptions included', async () => {
    await writeFile(allowed, `!bad@example.org,*@example.org namespaces="seed*" ${publicPart(signer)}\n`)
    await signSums(folder, key)
    await expect(verifySums(folder, allowed)).resolves.toBe('*@example.org')
  })

  it('that is not there is refused', async () => {
    await expect(verifySums(folder, allowed)).rejects.toThrow(/has no SHA256SUMS.sig/)
  })

  it('requires the file with those who may sign', async () => {
    await signSums(folder, key)
    await expect(verifySums(folder, join(folder, 'none'))).rejects.toThrow(/cannot be read/)
  })
})
