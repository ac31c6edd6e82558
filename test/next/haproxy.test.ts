import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder } from '../support/builds.ts'
import { seeder } from '../support/seeder.ts'

/** Real boots of the HAProxy image on Ubuntu, made of Debian's next release. The other two images are on it everywhere. */
const root = await testFolder('haproxy on Ubuntu')
let image: BuiltImage | undefined

beforeAll(async () => {
  image = (await ubuntuImages(root, ['haproxy'])).haproxy
})
afterAll(() => removeFolder(root))

it(
  'passes its whole contract',
  async () => {
    const out = image?.out ?? ''
    const { code, stdout, stderr } = await seeder(['test', out])
    const report = JSON.parse(await readFile(join(out, 'test-report.json'), 'utf8'))
    const others = report.checks.filter((check: { status: string }) => check.status !== 'passed')
    expect(others, `${stdout}\n${stderr}`).toEqual([])
    expect(code).toBe(0)
    expect(report).toMatchObject({ image: 'haproxy', passed: true })
  },
  20 * 60_000,
)
