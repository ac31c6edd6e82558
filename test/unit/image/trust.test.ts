import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { readTrust } from '../../../src/image/trust.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder trust '))
const now = Math.floor(Date.now() / 1000)
let image = ''
let count = 0

beforeEach(async () => {
  image = join(root, String(count++))
  await mkdir(join(image, 'trust'), { recursive: true })
})
afterAll(() => rm(root, { recursive: true }))

/** A certificate that openssl makes, into the image's trust folder; its key goes beside the folder. */
async function certificate(name: string, ...options: readonly string[]): Promise<string> {
  const file = join(image, 'trust', name)
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    join(image, 'key.pem'),
  ]
  const argv = ['req', '-x509', ...key, '-subj', `/O=Test/CN=${name}`, '-out', file, ...options]
  await execa('openssl', argv)
  return file
}

describe('the CA certificates of an image', () => {
  it('are its trust/*.crt, in their order', async () => {
    const second = await certificate('etcd-ca.crt')
    const first = await certificate('cluster-ca.crt')
    await writeFile(join(image, 'trust', 'README.md'), 'what goes here')
    expect([...(await readTrust(image, now))]).toEqual([
      ['cluster-ca.crt', first],
      ['etcd-ca.crt', second],
    ])
  })

  it('need not be there', async () => {
    expect((await readTrust(join(root, 'none'), now)).size).toBe(0)
  })

  it('are checked at the date of the lock, so that an old lock can still be built', async () => {
    await certificate('etcd-ca.crt', '-days', '1')
    await expect(readTrust(image, now)).resolves.toBeDefined()
    await expect(readTrust(image, now + 10 * 86_400)).rejects.toThrow(
      /etcd-ca\.crt: O=Test, CN=etcd-ca\.crt has expired on /,
    )
    // Younger than the lock.
    await expect(readTrust(image, now - 10 * 86_400)).resolves.toBeDefined()
  })

  it('are never keys, in any file', async () => {
    await certificate('etcd-ca.crt')
    await execa('cp', [join(image, 'key.pem'), join(image, 'trust', 'notes.txt')])
    await expect(readTrust(image, now)).rejects.toThrow(
      `${join(image, 'trust', 'notes.txt')} has a private key in it`,
    )
  })

  it('are not the certificate of a server', async () => {
    await certificate('server.crt', '-addext', 'basicConstraints=critical,CA:FALSE')
    await expect(readTrust(image, now)).rejects.toThrow('is not a CA’s certificate (CA:FALSE)')
  })

  it.each([
    ['nothing', '', 'has no certificate in it'],
    ['damaged', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'is not a certificate'],
  ])('are not %s', async (_what, text, message) => {
    await writeFile(join(image, 'trust', 'etcd-ca.crt'), text)
    await expect(readTrust(image, now)).rejects.toThrow(message)
  })
})
