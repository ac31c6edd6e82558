import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pkiCommand } from '../../support/pki/command.ts'
import { emptyPlace, type TestPki } from '../../support/pki/place.ts'
import { published } from '../../support/schemas.ts'
import { seeder } from '../../support/seeder.ts'

/** The command as a person uses it, from the first day on. */
let pki: TestPki
beforeEach(async () => {
  pki = await emptyPlace()
})
afterEach(() => pki.remove())
const run = (...argv: string[]) => pkiCommand([...argv, '--dir', pki.folder])
const date = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

test('as a process of its own, in the folder that the environment names', async () => {
  const env = { SEEDER_PKI: pki.folder }
  const { code, stdout, stderr } = await seeder(['-q', 'pki', 'init'], { env })
  expect({ code, stderr, first: stdout.split('\n')[0] }).toEqual({ code: 0, stderr: '', first: pki.folder })
  expect(await seeder(['pki', 'issue', 'etcd-client', 'etcd-ca'], { env })).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^seeder: "etcd-ca" is no name for a certificate: it is another’s\n {2}→ /),
  })
  expect((await seeder(['pki', 'check', '--within', '36500'], { env })).code).toBe(1)
})

test('init, issue, renew', async () => {
  const made = await run('init')
  expect(made.stdout.split('\n')).toEqual([
    pki.folder,
    `  etcd-ca         made, until ${date(3650)}`,
    `  kubernetes-ca   made, until ${date(3650)}`,
    `  front-proxy-ca  made, until ${date(3650)}`,
  ])
  expect(made).toMatchObject({
    code: 0,
    stderr: '  this folder has the only copy of their keys: back it up where nobody else can read it',
  })
  const again = await run('init')
  expect(again).toMatchObject({ code: 0, stderr: '' })
  expect(again.stdout).toBe(made.stdout.replaceAll('made', 'exists already'))

  const files = [join(pki.folder, 'issued/etcd1/etcd.crt'), join(pki.folder, 'issued/etcd1/etcd.key')]
  const printed = (said: string, days: number) =>
    [`etcd1: ${said}, until ${date(days)}`, ...files.map((file) => `  ${file}`)].join('\n')
  const member = ['issue', 'etcd-member', 'etcd1', '--address', '10.0.0.129']
  expect(await run(...member)).toEqual({ code: 0, stdout: printed('issued', 365), stderr: '' })
  expect(await run(...member)).toEqual({ code: 0, stdout: printed('exists already', 365), stderr: '' })
  expect(await run('renew', '--within', '30')).toEqual({
    code: 0,
    stdout: 'nothing expires within 30 days',
    stderr: '',
  })
  expect(await run('renew', 'etcd1', '--days', '90')).toEqual({
    code: 0,
    stdout: printed('renewed', 90),
    stderr: '  the nodes still have the old ones: copy the new ones there',
  })
})

test('prints JSON with the path of the key, and never the key', async () => {
  const made = await published(
    'printed/pki-init',
    JSON.parse((await run('init', '--json', '--days', '400')).stdout),
  )
  expect(made).toMatchObject({ folder: pki.folder, authorities: { length: 3 } })
  expect(made.authorities[1]).toEqual({
    name: 'kubernetes-ca',
    outcome: 'made',
    notAfter: expect.stringMatching(/^\d{4}-/),
    certificateFile: join(pki.folder, 'authorities/kubernetes-ca/kubernetes-ca.crt'),
  })
  const { stdout } = await run('issue', 'apiserver-etcd-client', '--json')
  const issued = {
    name: 'apiserver-etcd-client',
    kind: 'apiserver-etcd-client',
    address: null,
    outcome: 'issued',
    notAfter: expect.stringContaining(date(365)),
    certificate: join(pki.folder, 'issued/apiserver-etcd-client/apiserver-etcd-client.crt'),
    key: join(pki.folder, 'issued/apiserver-etcd-client/apiserver-etcd-client.key'),
  }
  expect(await published('printed/pki-issue', JSON.parse(stdout))).toEqual(issued)
  const renewed = await run('renew', 'apiserver-etcd-client', '--json')
  expect(await published('printed/pki-renew', JSON.parse(renewed.stdout))).toEqual([
    { ...issued, outcome: 'renewed' },
  ])
  expect(JSON.parse((await run('renew', '--within', '9', '--json')).stdout)).toEqual([])
  const key = await readFile(issued.key, 'utf8')
  for (const text of [stdout, renewed.stdout, renewed.stderr]) {
    expect(text).not.toContain('PRIVATE')
    expect(text).not.toContain(key.split('\n')[1])
  }
})

describe('wrong use has exit status 2, and makes nothing', () => {
  test.each([
    [
      ['issue', 'etcd-peer', 'x'],
      "'etcd-peer' is invalid for argument 'kind'. Allowed choices are etcd-member,",
    ],
    [['issue'], "missing required argument 'kind'"],
    [['issue', 'etcd-member', 'etcd1'], 'etcd-member etcd1: no address given\n  → add --address'],
    [['issue', 'etcd-client', 'a_b'], '"a_b" is no name for a certificate'],
    [
      ['issue', 'etcd-client', 'a', '--days', '0'],
      "argument '0' is invalid. Give a number of days from 1 to 36500.",
    ],
    [['init', '--days', '1e3'], "argument '1e3' is invalid. Give a number of days"],
    [['check', '--within', 'soon'], "argument 'soon' is invalid. Give a number of days"],
    [
      ['renew'],
      'pki renew: give names or --within, and not both\n  → give the names of certificates, or --within',
    ],
    [['renew', 'etcd1', '--within', '9'], 'pki renew: give names or --within, and not both'],
    [['sign'], "unknown command 'sign'"],
  ])('%j', async (argv, message) => {
    const { code, stdout, stderr } = await run(...argv)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
    await expect(readdir(pki.folder)).rejects.toThrow('ENOENT')
  })
})

test.each(['list', 'check', 'renew --within 9', 'issue etcd-client a', 'export'])(
  'without CAs, %s says how to make them',
  async (words) => {
    const { code, stderr } = await run(...words.split(' '))
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `seeder: There are no certificate authorities in ${pki.folder}\n  → make them with: seeder pki init; or name their folder with --dir or SEEDER_PKI`,
    })
    await expect(readdir(pki.folder)).rejects.toThrow('ENOENT')
  },
)
