import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder } from '../support/builds.ts'
import { published } from '../support/schemas.ts'
import { seeder } from '../support/seeder.ts'

/** Real boots of the finished etcd image: a cluster of three, up to eight clones. */
const root = await testFolder('etcd')
let image: BuiltImage | undefined

beforeAll(async () => {
  image = (await ubuntuImages(root, ['etcd'])).etcd
})
afterAll(() => removeFolder(root))

it(
  'passes its whole contract',
  async () => {
    const out = image?.out ?? ''
    const { code, stdout, stderr } = await seeder(['test', out])
    const text = await readFile(join(out, 'test-report.json'), 'utf8')
    const report = await published('test-report', JSON.parse(text))
    const others = report.checks.filter((check: { status: string }) => check.status !== 'passed')
    expect(others, `${stdout}\n${stderr}`).toEqual([])
    expect(code).toBe(0)
    expect(report).toMatchObject({ image: 'etcd', version: image?.manifest.version, passed: true })
    expect(report.raw.sha256).toBe(image?.manifest.raw.sha256)
    const names = report.checks.map(({ name }: { name: string }) => name)
    for (const name of ['leader-lost', 'replacement', 'rolling', 'nothing-lost', 'no-second-cluster']) {
      expect(names).toContain(name)
    }
    expect(report.measured.leaderLostMs).toBeGreaterThan(0)
  },
  25 * 60_000,
)
