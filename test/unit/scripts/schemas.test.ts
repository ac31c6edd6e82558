import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { schemas } from '../../../scripts/schemas.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'
import { published } from '../../support/schemas.ts'
import { checkout } from '../../support/seeder.ts'

it('the published schemas are those that the program reads with: `npm run schemas` writes them', async () => {
  const folder = join(checkout, 'docs', 'schemas')
  const published = await Promise.all(
    (await readdir(folder, { recursive: true }))
      .filter((name) => name.endsWith('.json'))
      .map(async (name) => [name, await readFile(join(folder, name), 'utf8')]),
  )
  expect(Object.fromEntries(published)).toEqual(schemas)
})

it('docs/evidence.md names every one of them', async () => {
  const text = await readFile(join(checkout, 'docs', 'evidence.md'), 'utf8')
  for (const name of Object.keys(schemas)) {
    expect(text, name).toContain(`\`${name.replace(/^printed\//, '').replace('.schema.json', '')}\``)
  }
})

it('the lock of this checkout’s image, and what a build leaves, are as they say', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-schemas-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const { manifest } = await makeTestedBuild(folder, '1'.repeat(40), { evidence: true })
  const read = async (file: string) => JSON.parse(await readFile(file, 'utf8'))
  await published('lock', await read(join(checkout, 'images/haproxy/image.lock.json')))
  for (const kind of ['manifest', 'files', 'provenance']) {
    await published(kind, await read(join(folder, `${manifest.image}-${manifest.version}.${kind}.json`)))
  }
  await published('test-report', await read(join(folder, 'test-report.json')))
})

describe('holding something against a schema', () => {
  it('takes what is right, and no field that is not in it', async () => {
    const finding = { what: 'x', result: 'right', found: 'y' }
    expect(await published('printed/verify', [finding])).toEqual([finding])
    await expect(published('printed/verify', [{ ...finding, more: 1 }])).rejects.toThrow('additional')
    await expect(published('printed/verify', [{ ...finding, result: 'maybe' }])).rejects.toThrow('result')
    await expect(published('printed/verify', [{ what: 'x', found: 'y' }])).rejects.toThrow('required')
  })
})
