import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createContext, findProject } from '../../../src/commands/context.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder context '))
const project = join(root, 'my project')
const own = join(root, 'own')
const nowhere = join(root, 'nowhere')

beforeAll(async () => {
  for (const folder of [project, own]) {
    await mkdir(join(folder, 'images/haproxy'), { recursive: true })
    await writeFile(join(folder, 'platform.yaml'), '')
  }
  await mkdir(nowhere)
  // A folder with only one of the two is no project.
  await writeFile(join(nowhere, 'platform.yaml'), '')
})
afterAll(() => rm(root, { recursive: true }))

test('the project is the named folder', () => {
  expect(findProject(project, nowhere, own)).toBe(project)
  expect(() => findProject(nowhere, project, own)).toThrow(
    expect.objectContaining({
      name: 'UsageError',
      message: `--project ${nowhere} has no platform.yaml and images/`,
    }),
  )
})

test('otherwise the nearest project above the current folder', () => {
  expect(findProject(undefined, join(project, 'images/haproxy'), own)).toBe(project)
  expect(findProject(undefined, project, own)).toBe(project)
})

test('otherwise the checkout of the program', () => {
  expect(findProject(undefined, nowhere, own)).toBe(own)
  expect(() => findProject(undefined, nowhere, nowhere)).toThrow(
    expect.objectContaining({ name: 'UsageError', fix: expect.stringContaining('--project') }),
  )
})

test('the cache is in XDG_CACHE_HOME, or in the home folder', () => {
  expect(createContext({}, own, { XDG_CACHE_HOME: '/somewhere' }).cache).toBe('/somewhere/seeder')
  expect(createContext({}, own, { XDG_CACHE_HOME: '' }).cache).toBe(join(homedir(), '.cache/seeder'))
})
