import { chmod, chown, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { initialize } from '../../../src/pki/authority.ts'
import { findExposures } from '../../../src/pki/folder.ts'
import { issue } from '../../../src/pki/issue.ts'
import { parseRequest } from '../../../src/pki/profile.ts'
import { pkiCommand } from '../../support/pki/command.ts'
import { emptyPlace, makePki, type TestPki } from '../../support/pki/place.ts'

const uid = process.geteuid?.() ?? 0
const operator = parseRequest({ kind: 'etcd-client', name: 'operator' })
const issueAgain = (pki: TestPki) => issue(pki, operator, { now: new Date(), days: 10 })

let pki: TestPki
beforeEach(async () => {
  pki = await makePki()
  await issueAgain(pki)
})
afterEach(() => pki.remove())
const inside = (path: string) => join(pki.folder, path)
const modeOf = async (path: string) => ((await stat(inside(path))).mode & 0o7777).toString(8)

test('new files are private, whatever the umask', async () => {
  const place = await emptyPlace()
  const before = process.umask(0)
  try {
    await initialize(place, { now: new Date(), days: 10 })
  } finally {
    process.umask(before)
  }
  expect(await findExposures(place.folder, uid)).toEqual([])
  await place.remove()
  expect(await modeOf('.')).toBe('700')
  expect(await modeOf('issued/operator')).toBe('700')
  expect(await modeOf('issued/operator/etcd-client.key')).toBe('600')
  expect(await modeOf('issued/operator/etcd-client.crt')).toBe('644')
  expect(await modeOf('lock')).toBe('600')
})

test('check reports open permissions, and changes nothing', async () => {
  await chmod(inside('.'), 0o755)
  await chmod(inside('issued/operator'), 0o770)
  await chmod(inside('authorities/etcd-ca/etcd-ca.key'), 0o640)
  await chmod(inside('authorities/etcd-ca/etcd-ca.crt'), 0o664)
  const { code, stdout, stderr } = await pkiCommand(['check', '--dir', pki.folder, '--within', '5'])
  expect(code).toBe(1)
  expect(stdout.split('\n').slice(-4)).toEqual([
    `${pki.folder} can be read by others (mode 0755)`,
    `${inside('authorities/etcd-ca/etcd-ca.crt')} can be changed by others (mode 0664)`,
    `${inside('authorities/etcd-ca/etcd-ca.key')} can be read by others (mode 0640)`,
    `${inside('issued/operator')} can be changed by others (mode 0770)`,
  ])
  expect(stderr).toMatch(/^seeder: 4 of the folder’s permissions are wrong\n {2}→ .*repairs what it can/)
  expect(await modeOf('.')).toBe('755')
  const json = JSON.parse(
    (await pkiCommand(['check', '--json', '--dir', pki.folder, '--within', '5'])).stdout,
  )
  expect(json).toMatchObject({ ok: false, permissions: { length: 4 } })
})

test('the next change fixes open permissions, with a note', async () => {
  await chmod(inside('.'), 0o755)
  await chmod(inside('authorities/etcd-ca/etcd-ca.key'), 0o644)
  await issueAgain(pki)
  expect(pki.notes()).toEqual([
    `${pki.folder} could be read by others (mode 0755): mended, it is 0700 now`,
    `${inside('authorities/etcd-ca/etcd-ca.key')} could be read by others (mode 0644): mended, it is 0600 now`,
  ])
  expect(await findExposures(pki.folder, uid)).toEqual([])
  await issueAgain(pki)
  expect(pki.notes()).toEqual([])
})

test('a link is refused', async () => {
  const key = inside('authorities/etcd-ca/etcd-ca.key')
  const elsewhere = inside('../etcd-ca.key')
  await writeFile(elsewhere, await readFile(key), { mode: 0o644 })
  await rm(key)
  await symlink(elsewhere, key)
  await expect(issueAgain(pki)).rejects.toThrow(
    `${key} is neither a file nor a folder, so its content may be anywhere`,
  )
  expect((await stat(elsewhere)).mode & 0o777).toBe(0o644)
})

test('a lock that is a link is not followed', async () => {
  await rm(inside('lock'))
  await symlink(inside('../victim'), inside('lock'))
  await expect(issueAgain(pki)).rejects.toThrow('there is a link in the place of a file')
  await expect(stat(inside('../victim'))).rejects.toThrow('ENOENT')
})

test.runIf(uid === 0)('what belongs to somebody else is refused', async () => {
  const key = inside('issued/operator/etcd-client.key')
  await chown(key, 12345, 12345)
  await expect(issueAgain(pki)).rejects.toThrow(`${key} belongs to the user 12345, not to 0`)
  const { stdout } = await pkiCommand(['check', '--dir', pki.folder, '--within', '5'])
  expect(stdout).toContain(`\n${key} belongs to the user 12345, not to 0`)
})
