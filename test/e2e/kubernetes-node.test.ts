import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder } from '../support/builds.ts'
import { published } from '../support/schemas.ts'
import { seeder } from '../support/seeder.ts'

/** Real boots of the finished Kubernetes node image: a control plane, a worker, and a spare. */
const root = await testFolder('kubernetes-node')
let image: BuiltImage | undefined

beforeAll(async () => {
  image = (await ubuntuImages(root, ['kubernetes-node']))['kubernetes-node']
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
    expect(report).toMatchObject({ image: 'kubernetes-node', version: image?.manifest.version, passed: true })
    const detail = (name: string): string =>
      report.checks.find((check: { name: string }) => check.name === name)?.detail
    // The archive's kubeadm succeeds, so that the secrets for it are gone.
    expect(detail('init-called')).toBe('done: kubeadm init of a control-plane, attempt 1')
    expect(detail('join-called')).toBe('done: kubeadm join of a worker, attempt 1')
    expect(detail('secrets')).toContain('gone from node.env')
    expect(detail('container')).toContain('a container of the test has run')
  },
  20 * 60_000,
)
