import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { afterAll, describe, expect, it } from 'vitest'
import { digestCleanDisk } from '../../../src/build/hygiene.ts'
import { findPrivateKeys, holdsPrivateKey } from '../../../src/build/private-keys.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder-keys-'))
afterAll(() => rm(root, { recursive: true }))

/** Runs a shell script in a folder of its own, with `out` as the name of the file that it has to make. */
async function made(script: string): Promise<Buffer> {
  const folder = await mkdtemp(join(root, 'made-'))
  await execa('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: folder,
    env: { GNUPGHOME: folder, HOME: folder },
  })
  return readFile(join(folder, 'out'))
}

const P256 = 'openssl ecparam -name prime256v1 -genkey -noout'
const CERTIFICATE =
  'openssl req -x509 -newkey rsa:2048 -nodes -keyout key -subj /CN=x -days 2 -out cert 2> /dev/null'
const GPG = `gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key x@example.internal`

const pkcs8 = String(await made('openssl genpkey -algorithm ed25519 -out out'))
const once = Buffer.from(pkcs8).toString('base64')
const kubeconfig = `users:\n- name: admin\n  user:\n    client-certificate-data: QUJD\n    client-key-data: ${once}\n`
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const jwk = (given: object) => JSON.stringify({ keys: [given] }, null, 1)

const keys: readonly (readonly [string, string | Buffer])[] = [
  ['PEM, PKCS#8', pkcs8],
  ['PEM, PKCS#8, encrypted', await made('openssl genpkey -algorithm ed25519 -aes256 -pass pass:x -out out')],
  ['PEM, PKCS#1', await made('openssl genrsa -traditional -out out 2048 2> /dev/null')],
  [
    'PEM, PKCS#1, encrypted',
    await made('openssl genrsa -traditional -aes128 -passout pass:x -out out 2048 2> /dev/null'),
  ],
  ['PEM, SEC 1', await made(`${P256} -out out`)],
  ['OpenSSH', await made(`ssh-keygen -q -t ed25519 -N '' -f out`)],
  ['OpenSSH, encrypted', await made(`ssh-keygen -q -t ed25519 -N xxxxx -f out`)],
  ['PEM, indented in YAML', `key: |\n  ${pkcs8.replaceAll('\n', '\n  ')}`],
  ['PEM, with Windows line ends', pkcs8.replaceAll('\n', '\r\n')],
  ['PEM, in one line of a shell script', `KEY="${pkcs8.replaceAll('\n', '\\n')}"`],
  ['PEM, in lines of 16', pkcs8.replace(/[A-Za-z0-9+/]{16}/g, '$&\n')],
  ['service account, JSON', JSON.stringify({ type: 'service_account', private_key: pkcs8 })],
  ['kubeconfig', kubeconfig],
  ['Secret with a kubeconfig', `data:\n  config: ${Buffer.from(kubeconfig).toString('base64')}\n`],
  [
    'cloud-init, base64',
    `write_files:\n- encoding: b64\n  content: ${Buffer.from(` x${pkcs8}`).toString('base64')}\n`,
  ],
  ['OpenPGP, armoured', await made(`${GPG} rsa2048; gpg --quiet --armor --export-secret-keys > out`)],
  ['OpenPGP, binary, RSA', await made(`${GPG} rsa2048; gpg --quiet --export-secret-keys > out`)],
  ['OpenPGP, binary, Ed25519', await made(`${GPG} ed25519; gpg --quiet --export-secret-keys > out`)],
  ['GnuPG’s own file', await made(`${GPG} ed25519; cp private-keys-v1.d/*.key out`)],
  ['DER, PKCS#8, RSA', await made('openssl genpkey -algorithm rsa -outform der -out out 2> /dev/null')],
  ['DER, PKCS#8, P-256', await made(`${P256} | openssl pkcs8 -topk8 -nocrypt -outform der -out out`)],
  ['DER, PKCS#8, Ed25519', await made('openssl genpkey -algorithm ed25519 -outform der -out out')],
  [
    'DER, PKCS#8, encrypted',
    await made(`${P256} | openssl pkcs8 -topk8 -passout pass:x -outform der -out out`),
  ],
  [
    'DER, PKCS#1',
    await made(
      'openssl genrsa -traditional 2048 2> /dev/null | openssl rsa -traditional -outform der -out out 2> /dev/null',
    ),
  ],
  [
    'DER, PKCS#1, 4096',
    await made(
      'openssl genrsa -traditional 4096 2> /dev/null | openssl rsa -traditional -outform der -out out 2> /dev/null',
    ),
  ],
  ['DER, SEC 1', await made(`${P256} -outform der -out out`)],
  ['DER, SEC 1, P-384', await made('openssl ecparam -name secp384r1 -genkey -noout -outform der -out out')],
  [
    'PKCS#12',
    await made(`${CERTIFICATE}; openssl pkcs12 -export -inkey key -in cert -passout pass:x -out out`),
  ],
  ['DER in base64, PKCS#8', `key: ${rsa.export({ type: 'pkcs8', format: 'der' }).toString('base64')}`],
  ['DER in base64, PKCS#1', `key: ${rsa.export({ type: 'pkcs1', format: 'der' }).toString('base64')}`],
  ['DER in base64, SEC 1', (await made(`${P256} -outform der -out out`)).toString('base64')],
  [
    'DER in base64, Ed25519',
    (await made('openssl genpkey -algorithm ed25519 -outform der -out out')).toString('base64'),
  ],
  ['JSON Web Key', jwk(rsa.export({ format: 'jwk' }))],
  // The first entry of a JKS file is a private key: tag 1. keytool is not on every machine.
  [
    'Java keystore',
    Buffer.concat([Buffer.from('feedfeed0000000200000001000000010003', 'hex'), randomBytes(900)]),
  ],
  [
    'PuTTY',
    `PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: x\nPublic-Lines: 1\n${'A'.repeat(60)}\nPrivate-Lines: 1\n${'B'.repeat(40)}\n`,
  ],
  ['age', `# created\nAGE-SECRET-KEY-1${'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L'.repeat(2).slice(0, 58)}\n`],
  ['WireGuard', `[Interface]\nPrivateKey = ${randomBytes(32).toString('base64')}\n`],
]

const others: readonly (readonly [string, string | Buffer])[] = [
  ...(['pkcs8', 'pkcs1'] as const).map((type): [string, string] => [
    `a key of Go's own tests, ${type}`,
    rsa
      .export({ type, format: 'pem' })
      .toString()
      .replaceAll(/(?:RSA )?PRIVATE/g, 'RSA TESTING'),
  ]),
  [
    'a program that knows the headers',
    '\0-----BEGIN OPENSSH PRIVATE KEY-----\0-----END OPENSSH PRIVATE KEY-----\0-----BEGIN %s PRIVATE KEY-----\n',
  ],
  ['a certificate, PEM', await made(`${CERTIFICATE}; mv cert out`)],
  ['a certificate, DER', await made(`${CERTIFICATE}; openssl x509 -in cert -outform der -out out`)],
  [
    'a public key, DER',
    await made('openssl genpkey -algorithm ed25519 | openssl pkey -pubout -outform der -out out'),
  ],
  ['a public key, OpenSSH', await made(`ssh-keygen -q -t ed25519 -N '' -f key; mv key.pub out`)],
  ['an OpenPGP keyring of public keys', await made(`${GPG} rsa2048; gpg --quiet --export > out`)],
  ['a kubeconfig without a key', kubeconfig.replace(/client-key-data.*/, 'token: x')],
  ['a public JSON Web Key', jwk(generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }))],
  ['OpenSSL’s own library', await readFile(await library('libcrypto.so'))],
  ['OpenSSH’s own program', await readFile('/usr/bin/ssh-keygen')],
  ['this machine’s certificates', await readFile('/etc/ssl/certs/ca-certificates.crt')],
]

async function library(name: string): Promise<string> {
  const folder = '/usr/lib/x86_64-linux-gnu'
  return join(folder, (await readdir(folder)).find((entry) => entry.startsWith(name)) ?? name)
}

async function lookInTree(content: string | Buffer, folder: string): Promise<string> {
  const tree = await mkdtemp(join(root, 'tree-'))
  const path = join(tree, 'usr/share/a b/some file')
  await mkdir(dirname(path), { recursive: true })
  await mkdir(join(tree, 'etc'))
  await writeFile(path, content)
  const { stdout } = await execa('sh', ['-euc', findPrivateKeys(folder)], { cwd: tree })
  return stdout
}

/** A raw disk of zeros with a file at a block of it. */
async function disk(content: string | Buffer): Promise<string> {
  const bytes = Buffer.alloc(9 << 20)
  Buffer.from(content).copy(bytes, 5 << 20)
  const file = join(await mkdtemp(join(root, 'disk-')), 'disk.raw')
  await writeFile(file, bytes)
  return file
}

describe('a private key', () => {
  it.each(keys)('is found in a tree, in a file and on a disk: %s', async (_form, content) => {
    expect(await lookInTree(content, '/')).toBe('private key\t/usr/share/a b/some file')
    expect(await lookInTree(content, '/usr')).toBe('private key\t/usr/share/a b/some file')
    expect(await lookInTree(content, '/etc')).toBe('')
    expect(holdsPrivateKey(Buffer.from(content))).toBe(true)
    await expect(digestCleanDisk(await disk(content))).rejects.toThrow(
      /^The image must not be made: the disk has private key in offset 52\d{5}$/,
    )
  })

  it('is not searched in a compressed file system, whose files were searched before', async () => {
    const file = await disk(pkcs8)
    await expect(digestCleanDisk(file, [{ start: 4 << 20, end: 8 << 20 }])).resolves.toMatchObject({
      size: 9 << 20,
    })
    await expect(digestCleanDisk(file, [{ start: 4 << 20, end: 6 << 20 }])).rejects.toThrow('private key')
  })
})

describe('no private key', () => {
  it.each(others)('is seen in %s', async (_what, content) => {
    expect(holdsPrivateKey(Buffer.from(content))).toBe(false)
    expect(await lookInTree(content, '/')).toBe('')
  })
})
