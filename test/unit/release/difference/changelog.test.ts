import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { execa } from 'execa'
import { afterAll, expect, test, vi } from 'vitest'
import { changesSince, entriesSince } from '../../../../src/release/difference/changelog.ts'
import { removeFolder, testFolder } from '../../../support/builds.ts'

const root = await testFolder('changelog')
afterAll(() => removeFolder(root))

const entry = (version: string, change: string) =>
  `tool (${version}) trixie; urgency=medium\n\n  * ${change}\n\n -- A <a@example.internal>  Thu, 01 Jan 2026 00:00:00 +0000\n`
const changelog = [
  entry('1.2-1+deb13u2', 'Closes a hole.'),
  entry('1.2-1+deb13u1', 'Less.'),
  entry('1.2-1', 'New.'),
].join('\n')

test('the entries since a version, newest first, and nothing of it or before it', () => {
  expect(entriesSince(changelog, '1.2-1')).toContain('Closes a hole.')
  expect(entriesSince(changelog, '1.2-1')).toContain('Less.')
  expect(entriesSince(changelog, '1.2-1')).not.toContain('New.')
  expect(entriesSince(changelog, '1.2-1+deb13u2')).toBe('')
  expect(entriesSince(changelog, '0.9')).toBeUndefined()
})

test('very long ones are cut', () => {
  const long = entry('2', 'x'.repeat(30_000)) + changelog
  expect(entriesSince(long, '1.2-1')).toHaveLength(20_002)
})

async function deb(name: string, file: string | undefined): Promise<string> {
  const tree = join(root, name)
  await mkdir(join(tree, 'DEBIAN'), { recursive: true })
  await writeFile(
    join(tree, 'DEBIAN/control'),
    'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.internal>\nDescription: x\n',
  )
  const documents = join(tree, 'usr/share/doc/tool')
  await mkdir(documents, { recursive: true })
  if (file !== undefined) await writeFile(join(documents, file), gzipSync(changelog))
  await execa('dpkg-deb', ['--root-owner-group', '--build', tree, `${tree}.deb`])
  return `${tree}.deb`
}

test('are read from the package itself, of a native one as well', async () => {
  for (const file of ['changelog.Debian.gz', 'changelog.gz']) {
    const changes = await changesSince('tool', await deb(file, file), '1.2-1')
    expect(changes).toEqual({
      name: 'tool',
      text: expect.stringMatching(/^tool \(1\.2-1\+deb13u2\)[\s\S]*Less\./),
    })
  }
})

test('are read the same for a user whose .bashrc prints', async () => {
  await writeFile(join(root, '.bashrc'), 'echo welcome\n')
  vi.stubEnv('HOME', root)
  // What programs get of the environment is settled when the module is loaded.
  vi.resetModules()
  const { changesSince } = await import('../../../../src/release/difference/changelog.ts')
  vi.unstubAllEnvs()
  const changes = await changesSince('tool', await deb('greeted', 'changelog.gz'), '1.2-1')
  expect(changes?.text).toMatch(/^tool \(1\.2-1\+deb13u2\)/)
})

test('are not there for a package that ships none, or a file that is no package', async () => {
  expect(await changesSince('tool', await deb('none', undefined), '1.2-1')).toBeUndefined()
  await writeFile(join(root, 'no.deb'), 'x')
  expect(await changesSince('tool', join(root, 'no.deb'), '1.2-1')).toBeUndefined()
})
