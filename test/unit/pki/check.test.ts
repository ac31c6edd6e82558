import { cp, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { initialize } from '../../../src/pki/authority.ts'
import { publicKeyHash, readInventory } from '../../../src/pki/inventory.ts'
import { issue } from '../../../src/pki/issue.ts'
import { parseRequest } from '../../../src/pki/profile.ts'
import { checkCertificate } from '../../../src/pki/validity.ts'
import { pkiCommand } from '../../support/pki/command.ts'
import { makePki, type TestPki } from '../../support/pki/place.ts'
import { published } from '../../support/schemas.ts'

const day = 24 * 60 * 60 * 1000
const now = new Date()
const ago = (days: number) => new Date(now.getTime() - days * day)
const on = (days: number) => new Date(now.getTime() + days * day).toISOString().slice(0, 10)
const member = (name: string, last: number) =>
  parseRequest({ kind: 'etcd-member', name, address: `10.0.0.${last}` })

let pki: TestPki
beforeEach(async () => {
  pki = await makePki(3650, ago(60))
  await issue(pki, member('etcd1', 129), { now, days: 365 })
})
afterEach(() => pki.remove())
const inside = (path: string) => join(pki.folder, path)
const run = (...argv: string[]) => pkiCommand([...argv, '--dir', pki.folder])

/** The problem of each certificate that has one. */
async function problems(within = 30): Promise<Record<string, string>> {
  const inventory = await readInventory(pki.folder)
  const entries = [...Object.values(inventory.authorities), ...inventory.issued]
  const found = entries.map((entry) => checkCertificate(entry, inventory, now, within))
  return Object.fromEntries(found.flatMap(({ name, problem }) => (problem ? [[name, problem]] : [])))
}

test('a PKI without problems has the state ok, and exit status 0', async () => {
  await issue(pki, member('etcd10', 138), { now, days: 100 })
  await issue(pki, member('etcd9', 137), { now, days: 100 })
  const { code, stdout, stderr } = await run('check')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  // The run itself is some moments later: of 3590 days one has begun.
  expect(stdout.split('\n')).toEqual([
    'name            subject            names                                  CA       expires     days left  state',
    '--------------  -----------------  -------------------------------------  -------  ----------  ---------  -----',
    `etcd-ca         CN=etcd-ca         -                                      -        ${on(3590)}  3589       ok`,
    `kubernetes-ca   CN=kubernetes-ca   -                                      -        ${on(3590)}  3589       ok`,
    `front-proxy-ca  CN=front-proxy-ca  -                                      -        ${on(3590)}  3589       ok`,
    `etcd1           CN=etcd1           etcd1 localhost 10.0.0.129 127.0.0.1   etcd-ca  ${on(365)}  364        ok`,
    `etcd9           CN=etcd9           etcd9 localhost 10.0.0.137 127.0.0.1   etcd-ca  ${on(100)}  99         ok`,
    `etcd10          CN=etcd10          etcd10 localhost 10.0.0.138 127.0.0.1  etcd-ca  ${on(100)}  99         ok`,
  ])
})

test('expired certificates are problems, and those that expire within the given time', async () => {
  await issue(pki, member('etcd2', 130), { now: ago(30), days: 20 })
  await issue(pki, member('etcd3', 131), { now, days: 29 })
  await issue(pki, member('etcd4', 132), { now, days: 31 })
  await issue(pki, member('etcd5', 133), { now: ago(1), days: 2 })
  expect(await problems()).toEqual({
    etcd2: `expired on ${on(-10)}`,
    etcd3: 'expires in 28 days',
    etcd5: 'expires within a day',
  })
})

test('a problem gives exit status 1 and a fix', async () => {
  await issue(pki, member('etcd2', 130), { now: ago(30), days: 20 })
  expect(await run('check')).toMatchObject({
    code: 1,
    stderr: `seeder: etcd2 expired on ${on(-10)}\n  → seeder pki renew etcd2; then copy them to their nodes`,
  })
  await issue(pki, member('etcd3', 131), { now, days: 40 })
  expect((await run('check', '--within', '45')).stderr).toBe(
    'seeder: 2 certificates: etcd2 etcd3\n  → seeder pki renew etcd2 etcd3; then copy them to their nodes',
  )
  await rm(inside('issued/etcd3/etcd.crt'))
  expect((await run('check', '--within', '45')).stderr).toContain(
    '→ remove the entries without a certificate',
  )
  await rm(inside('authorities/etcd-ca/etcd-ca.key'))
  expect((await run('check')).stderr).toMatch(/→ etcd-ca first: restore the folder from a backup; /)
})

test('a lost key, or the key of another certificate', async () => {
  await issue(pki, member('etcd2', 130), { now, days: 365 })
  await cp(inside('issued/etcd1/etcd.key'), inside('issued/etcd2/etcd.key'))
  await rm(inside('issued/etcd1/etcd.key'))
  expect(await problems()).toEqual({ etcd1: 'has no key', etcd2: 'has the key of another certificate' })
})

test('a certificate by another CA of the same name', async () => {
  await rm(inside('authorities/etcd-ca'), { recursive: true })
  expect(await problems()).toEqual({
    'etcd-ca': 'is missing',
    etcd1: 'cannot be checked: etcd-ca is missing',
  })
  await initialize(pki, { now, days: 1000 })
  expect(await problems()).toEqual({ etcd1: 'is by another CA than etcd-ca, or by an earlier one' })
})

test('a leaf or another CA’s certificate in the place of a CA’s', async () => {
  for (const file of ['crt', 'key']) {
    await cp(inside(`issued/etcd1/etcd.${file}`), inside(`authorities/kubernetes-ca/kubernetes-ca.${file}`))
  }
  expect(await problems()).toEqual({ 'kubernetes-ca': 'is not signed by itself' })
})

test('a folder of another program', async () => {
  await cp(inside('issued/etcd1'), inside('issued/etcd2'), { recursive: true })
  await writeFile(inside('issued/notes.txt'), '')
  expect(await problems()).toEqual({
    etcd2: 'is for CN=etcd1, etcd1, localhost, 10.0.0.129, 127.0.0.1, which is not what etcd2 is issued for',
    'notes.txt': 'holds no certificate of a kind that is known',
  })
  await symlink('/etc/passwd', inside('issued/link'))
  expect((await run('check')).stdout).toContain(`${inside('issued/link')} is neither a file nor a folder`)
})

test('a machine whose clock is wrong', async () => {
  const inventory = await readInventory(pki.folder)
  const [etcd1] = inventory.issued
  if (!etcd1) throw new Error('etcd1 was not issued')
  expect(checkCertificate(etcd1, inventory, ago(10), 30).problem).toMatch(
    /^is not valid before .+, and this machine’s clock says /,
  )
})

test('prints JSON', async () => {
  await issue(pki, member('etcd2', 130), { now, days: 20 })
  const { code, stdout } = await run('check', '--json')
  const found = await published('printed/pki-check', JSON.parse(stdout))
  expect({ code, ...found }).toMatchObject({ code: 1, ok: false, within: 30, permissions: [] })
  expect(found.certificates).toHaveLength(5)
  expect(found.certificates[4]).toEqual({
    name: 'etcd2',
    kind: 'etcd-member',
    authority: 'etcd-ca',
    subject: 'CN=etcd2',
    names: ['etcd2', 'localhost', '10.0.0.130', '127.0.0.1'],
    serial: expect.stringMatching(/^[0-9A-F]+$/),
    notBefore: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.000Z$/),
    notAfter: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.000Z$/),
    daysLeft: 19,
    problem: 'expires in 19 days',
    certificate: inside('issued/etcd2/etcd.crt'),
    key: inside('issued/etcd2/etcd.key'),
  })
  expect(stdout).not.toContain('PRIVATE')
})

test('the list has all paths, and the hash of the CA for Kubernetes nodes', async () => {
  const { code, stdout } = await run('list')
  expect(code).toBe(0)
  const { certificate } = (await readInventory(pki.folder)).authorities['kubernetes-ca']
  if (!certificate) throw new Error('there is no kubernetes-ca')
  const rows = stdout.split('\n').map((line) => line.split(/ {2,}/))
  expect(rows.slice(2)).toEqual([
    ['etcd-ca', 'ca', '-', on(3590), inside('authorities/etcd-ca')],
    ['kubernetes-ca', 'ca', '-', on(3590), inside('authorities/kubernetes-ca')],
    ['front-proxy-ca', 'ca', '-', on(3590), inside('authorities/front-proxy-ca')],
    ['etcd1', 'etcd-member', 'etcd-ca', on(365), inside('issued/etcd1')],
    [''],
    [`kubernetes-ca is JOIN_CA_HASH=${publicKeyHash(certificate)}`],
  ])
  const json = await published('printed/pki-list', JSON.parse((await run('list', '--json')).stdout))
  expect(json.joinCaHash).toBe(publicKeyHash(certificate))
  expect(json.certificates.map(({ name }: { name: string }) => name)).toEqual([
    'etcd-ca',
    'kubernetes-ca',
    'front-proxy-ca',
    'etcd1',
  ])
})
