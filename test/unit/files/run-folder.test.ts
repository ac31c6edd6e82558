import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeRunFolder } from '../../../src/files/run-folder.ts'

test('a run removes what killed runs left, and nothing else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const parent = join(folder, 'test')
  await mkdir(join(parent, 'run-999999999-1-x'), { recursive: true })
  await mkdir(join(parent, `run-${process.pid}-1-x`))
  await writeFile(join(parent, 'run-999999999-1-x', 'disk.qcow2'), '')
  await mkdir(join(parent, 'something else'))
  const own = await makeRunFolder(parent)
  expect((await readdir(parent)).map((name) => join(parent, name)).sort()).toEqual(
    [own, join(parent, 'something else')].sort(),
  )
  expect(own).toMatch(new RegExp(`/run-${process.pid}-\\d+-\\w+$`))
})
