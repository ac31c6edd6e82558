import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readTrust } from '../../../src/image/trust.ts'
import { exportTrust } from '../../../src/pki/export.ts'
import { copyProject } from '../../support/builds.ts'
import { pkiCommand } from '../../support/pki/command.ts'
import { makePki, type TestPki } from '../../support/pki/place.ts'
import { published } from '../../support/schemas.ts'

let pki: TestPki
let project: string
beforeEach(async () => {
  pki = await makePki()
  project = await copyProject(join(await mkdtemp(join(tmpdir(), 'seeder pki ')), 'project'))
})
afterEach(async () => {
  await pki.remove()
  await rm(join(project, '..'), { recursive: true })
})
const run = (...argv: string[]) => pkiCommand(['export', ...argv, '--dir', pki.folder], project)
const trust = (image: string) => join(project, 'images', image, 'trust')
const caFile = (name: string) => join(pki.folder, 'authorities', name, `${name}.crt`)

test('the images get the certificates under the names that they read, and no keys', async () => {
  const { code, stdout } = await run()
  expect(code).toBe(0)
  expect(stdout.split('\n')).toEqual([
    `${trust('etcd')}/etcd-ca.crt: written`,
    `${trust('kubernetes-node')}/etcd-ca.crt: written`,
    `${trust('haproxy')}/kubernetes-ca.crt: written`,
  ])
  expect(await readFile(join(trust('etcd'), 'etcd-ca.crt'), 'utf8')).toBe(
    await readFile(caFile('etcd-ca'), 'utf8'),
  )
  for (const image of ['etcd', 'kubernetes-node', 'haproxy']) {
    const found = await readTrust(join(project, 'images', image), Date.now() / 1000)
    expect([...found.keys()]).toEqual([image === 'haproxy' ? 'kubernetes-ca.crt' : 'etcd-ca.crt'])
    const others = (await readdir(trust(image))).filter((name) => !name.endsWith('.crt'))
    expect(others).toEqual(image === 'etcd' ? ['README.md'] : [])
  }
})

test('a second export changes nothing, and keeps other certificates in the file', async () => {
  await run('etcd-ca')
  const file = join(trust('etcd'), 'etcd-ca.crt')
  await appendFile(file, await readFile(caFile('front-proxy-ca'), 'utf8'))
  const before = await readFile(file, 'utf8')
  const { stdout } = await run('etcd-ca', '--json')
  expect(await published('printed/pki-export', JSON.parse(stdout))).toEqual([
    { authority: 'etcd-ca', file, outcome: 'kept' },
    { authority: 'etcd-ca', file: join(trust('kubernetes-node'), 'etcd-ca.crt'), outcome: 'kept' },
  ])
  expect(await readFile(file, 'utf8')).toBe(before)
})

test('another CA’s certificate is not overwritten, and nothing is written then', async () => {
  await mkdir(trust('kubernetes-node'), { recursive: true })
  const file = join(trust('kubernetes-node'), 'etcd-ca.crt')
  await writeFile(file, await readFile(caFile('kubernetes-ca')))
  const { code, stderr } = await run()
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(
      /^seeder: .+\/images\/kubernetes-node\/trust\/etcd-ca\.crt has another certificate: CN=kubernetes-ca, SHA-256 [0-9A-F:]{23}…\n {2}→ remove the file to replace it; .*append/,
    ),
  })
  expect(await readdir(trust('etcd'))).toEqual(['README.md'])
  await writeFile(file, 'hello\n')
  expect((await run()).stderr).toContain('has another certificate: it is not one that can be read')
})

test('front-proxy-ca is for no image', async () => {
  expect(await run('front-proxy-ca')).toMatchObject({
    code: 2,
    stderr: `seeder: No image of ${project} has a use for front-proxy-ca\n  → export one of the other CAs`,
  })
  expect((await run('root-ca')).stderr).toContain(
    'Allowed choices are etcd-ca, kubernetes-ca, front-proxy-ca.',
  )
})

test('a CA that cannot be used is not exported', async () => {
  await rm(join(pki.folder, 'authorities/etcd-ca'), { recursive: true })
  await expect(exportTrust(pki, project, ['kubernetes-ca', 'etcd-ca'])).rejects.toThrow(
    `etcd-ca cannot be used: ${pki.folder}/authorities/etcd-ca is missing`,
  )
  await expect(readdir(trust('haproxy'))).rejects.toThrow('ENOENT')
})
