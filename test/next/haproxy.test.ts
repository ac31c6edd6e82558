import { afterAll, beforeAll, it } from 'vitest'
import { passContract } from '../support/boot-test/contract.ts'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder } from '../support/builds.ts'

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
    await passContract(image)
  },
  20 * 60_000,
)
