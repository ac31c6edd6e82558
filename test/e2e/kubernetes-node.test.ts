import { afterAll, beforeAll, expect, it } from 'vitest'
import { passContract } from '../support/boot-test/contract.ts'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder } from '../support/builds.ts'

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
    const report = await passContract(image)
    const detail = (name: string): string =>
      report.checks.find((check: { name: string }) => check.name === name)?.detail
    expect(detail('init-called')).toContain(
      'attempt 1 of kubeadm init came to nothing: ExternalEtcdVersion: ',
    )
    expect(detail('join-called')).toBe('running: connects to port 6443')
    expect(detail('secrets')).toContain('only root can read')
    expect(detail('container')).toContain('a container of the test has run')
  },
  20 * 60_000,
)
