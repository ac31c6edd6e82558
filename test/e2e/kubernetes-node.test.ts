import { afterAll, beforeAll, expect, it } from 'vitest'
import { passContract } from '../support/boot-test/contract.ts'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder } from '../support/builds.ts'
import { seeder } from '../support/seeder.ts'

/** Real boots of the finished Kubernetes node image: a control plane, a worker, and a spare. */
const root = await testFolder('kubernetes-node')
let images: Record<string, BuiltImage> = {}

beforeAll(async () => {
  images = await ubuntuImages(root, ['etcd', 'kubernetes-node'])
})
afterAll(() => removeFolder(root))

it(
  'passes its whole contract',
  async () => {
    const report = await passContract(images['kubernetes-node'])
    const detail = (name: string): string =>
      report.checks.find((check: { name: string }) => check.name === name)?.detail
    // On an emulated node it may be a later attempt than the first.
    expect(detail('init-called')).toMatch(
      /attempt \d+ of kubeadm init came to nothing: ExternalEtcdVersion: /,
    )
    expect(detail('join-called')).toMatch(/^(running: kubeadm join of a worker|retrying: attempt \d+ )/)
    expect(detail('secrets')).toContain('only root can read')
    expect(detail('container')).toContain('a container of the test has run')
  },
  20 * 60_000,
)

it('two images are refused before anything is booted', async () => {
  const folders = Object.values(images).map(({ out }) => out)
  const { code, stderr } = await seeder(['test', ...folders])
  expect(code).toBe(2)
  expect(stderr).toContain('etcd, kubernetes-node cannot be tested together')
})
