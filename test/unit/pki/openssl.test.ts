import { X509Certificate } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type CertificatePlan, makePair, opensslConfig, signArguments } from '../../../src/pki/openssl.ts'
import { authorityExtensions } from '../../../src/pki/profile.ts'
import { seeder } from '../../support/seeder.ts'

const plan: CertificatePlan = {
  commonName: 'etcd-ca',
  curve: 'P-384',
  extensions: authorityExtensions,
  notBefore: new Date('2026-11-24T15:00:00.700Z'),
  notAfter: new Date('2056-11-24T15:00:00.700Z'),
}

test('the configuration and arguments of openssl', () => {
  expect(signArguments(plan, undefined)).toEqual([
    'ca',
    '-config',
    'openssl.cnf',
    '-batch',
    '-notext',
    '-extensions',
    'extensions',
    '-startdate',
    '20261124150000Z',
    '-enddate',
    '20561124150000Z',
    '-selfsign',
    '-keyfile',
    'new.key',
    '-in',
    '-',
  ])
  expect(signArguments(plan, { certificate: '../ca.crt', key: '../ca.key' })).toEqual(
    expect.arrayContaining(['-cert', '../ca.crt', '-keyfile', '../ca.key']),
  )
  expect(opensslConfig(plan)).toMatch(/^CN=etcd-ca$/m)
  expect(opensslConfig(plan)).toMatch(/^\[extensions\]\nbasicConstraints=critical,CA:TRUE,pathlen:0$/m)
})

describe('with the real openssl', () => {
  let scratch: string
  beforeEach(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'seeder-pki-scratch-'))
  })
  afterEach(() => rm(scratch, { recursive: true }))

  test('a CA is the requested one, and openssl accepts it', async () => {
    const { certificate, key } = await makePair(plan, undefined, scratch)
    const file = join(scratch, 'ca.crt')
    await writeFile(file, certificate)
    const { stdout: text } = await execa('openssl', ['x509', '-in', file, '-noout', '-text'])
    expect(text).toMatch(/Basic Constraints: critical\n +CA:TRUE, pathlen:0\n/)
    expect(text).toMatch(/Key Usage: critical\n +Certificate Sign, CRL Sign\n/)
    expect(text).toMatch(/Subject Key Identifier: ?\n +([0-9A-F:]{59})\n/)
    expect(text).toMatch(/Authority Key Identifier: ?\n +(keyid:)?[0-9A-F:]{59}\n/)
    expect(text).toContain('NIST CURVE: P-384')
    expect(text).toContain('ecdsa-with-SHA384')
    await execa('openssl', ['verify', '-x509_strict', '-no-CApath', '-no-CAstore', '-CAfile', file, file])
    expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----\n[^-]+-----END PRIVATE KEY-----\n$/)
  })

  test('each has a key and a serial number of its own, of 128 bits', async () => {
    const made = await Promise.all(
      ['a', 'b'].map(async (name) => {
        await mkdir(join(scratch, name))
        return new X509Certificate((await makePair(plan, undefined, join(scratch, name))).certificate)
      }),
    )
    expect(new Set(made.map(({ serialNumber }) => serialNumber)).size).toBe(2)
    expect(new Set(made.map(({ publicKey }) => publicKey.export({ type: 'spki', format: 'pem' }))).size).toBe(
      2,
    )
    // The first of 128 random bits are zero now and then, but not 32 of them.
    for (const { serialNumber } of made) expect(serialNumber).toMatch(/^[0-9A-F]{24,32}$/)
  })

  test('the user’s configuration of openssl has no effect', async () => {
    const own = join(scratch, 'own.cnf')
    await writeFile(own, 'openssl_conf = nonsense\n[nonsense]\nproviders = missing\n')
    vi.stubEnv('OPENSSL_CONF', own)
    try {
      await expect(makePair(plan, undefined, scratch)).resolves.toMatchObject({
        certificate: expect.stringContaining('BEGIN CERTIFICATE'),
      })
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test('files in the scratch folder are private, whatever the umask', async () => {
    const before = process.umask(0)
    try {
      await makePair(plan, undefined, scratch)
    } finally {
      process.umask(before)
    }
    expect((await stat(join(scratch, 'new.key'))).mode & 0o777).toBe(0o600)
  })
})

describe('an openssl that cannot be used', () => {
  let bin: string
  let folder: string
  beforeAll(async () => {
    bin = await mkdtemp(join(tmpdir(), 'seeder-pki-bin-'))
    await symlink('/usr/bin/flock', join(bin, 'flock'))
  })
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'seeder-pki-')), 'pki')
  })
  afterEach(() => rm(join(folder, '..'), { recursive: true }))
  afterAll(() => rm(bin, { recursive: true }))

  /** `pki init` with this script as openssl, the first word of whose command line is in `$1`. */
  async function initWith(script: string | undefined) {
    await rm(join(bin, 'openssl'), { force: true })
    if (script !== undefined) {
      await writeFile(join(bin, 'openssl'), `#!/bin/sh\n${script}\n`)
      await chmod(join(bin, 'openssl'), 0o755)
    }
    return await seeder(['pki', 'init', '--dir', folder], { env: { PATH: bin } })
  }
  const fix =
    /\n {2}→ run scripts\/setup\.sh, which installs openssl 3, and see which one is the first on PATH$/
  const really = (command: string) => `[ "$1" = ${command} ] && exec /usr/bin/openssl "$@"`

  test.each([
    ['none', undefined, /^seeder: openssl 3 signs the certificates, and cannot be used here: .*ENOENT/],
    ['an old one', 'echo OpenSSL 1.1.1w 11 Sep 2023', /cannot be used here: OpenSSL 1\.1\.1w 11 Sep 2023\n/],
    ['another one', 'echo LibreSSL 3.8.2', /cannot be used here: LibreSSL 3\.8\.2\n/],
    [
      'a broken one',
      'echo libssl.so.3: not found >&2; exit 127',
      /cannot be used here: libssl\.so\.3: not found\n/,
    ],
  ])('%s', async (_, script, message) => {
    const { code, stderr } = await initWith(script)
    expect(code).toBe(1)
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(fix)
    await expect(readdir(folder)).rejects.toThrow('ENOENT')
  })

  test('signs another certificate', async () => {
    const other = join(bin, 'other.crt')
    const own = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout']
    await execa('openssl', [...own, join(bin, 'other.key'), '-subj', '/CN=etcd-ca', '-out', other])
    const { code, stderr } = await initWith(
      `${really('version')} || ${really('req')}; exec /bin/cat ${other}`,
    )
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /^seeder: made a certificate with openssl; it made a certificate for another key\n/,
      ),
    })
    expect(await readdir(join(folder, 'authorities'))).toEqual([])
  })

  test('fails half-way, and leaves no certificate and no key', async () => {
    const { code, stderr } = await initWith(
      `${really('version')} || ${really('req')}; echo "no engine" >&2; exit 1`,
    )
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'seeder: openssl ca failed: no engine\n  → run again with --verbose for its whole output',
    })
    expect((await readdir(folder)).sort()).toEqual(['authorities', 'issued', 'lock'])
    expect(await readdir(join(folder, 'authorities'))).toEqual([])
    expect(await readFile(join(folder, 'lock'), 'utf8')).toBe('')
  })

  test('no flock', async () => {
    const empty = join(bin, 'empty')
    await mkdir(empty)
    await symlink('/usr/bin/openssl', join(empty, 'openssl'))
    const { code, stderr } = await seeder(['pki', 'init', '--dir', folder], { env: { PATH: empty } })
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `seeder: could not lock ${folder}/lock: spawn flock ENOENT\n  → install util-linux, which has flock`,
    })
  })
})
