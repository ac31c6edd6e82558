import { afterAll, beforeAll, expect, it } from 'vitest'
import { passContract } from '../support/boot-test/contract.ts'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder } from '../support/builds.ts'

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
    const report = await passContract(image)
    const names = report.checks.map(({ name }: { name: string }) => name)
    for (const name of ['leader-lost', 'replacement', 'rolling', 'nothing-lost', 'no-second-cluster']) {
      expect(names).toContain(name)
    }
    expect(report.measured.leaderLostMs).toBeGreaterThan(0)
  },
  25 * 60_000,
)
