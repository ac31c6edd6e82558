import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'

/** The definition of the image `tiny` of a test's project, from the suites `stable` and `stable-security`. */
export interface TinyImage {
  readonly keyring: string
  readonly packages: readonly string[]
  readonly tools: readonly string[]
  readonly kernel: string
  /** The package whose version the image has. */
  readonly version: string
}

/** Writes a project with one image into `folder`: what `seeder -C FOLDER lock tiny` needs. */
export async function writeProject(folder: string, image: TinyImage): Promise<void> {
  const files = {
    'images/base/small.yaml': {
      distribution: 'test',
      suite: 'stable',
      components: ['main'],
      pockets: [
        { archive: 'debian', suite: 'stable' },
        { archive: 'debian-security', suite: 'stable-security' },
      ],
      keyring: image.keyring,
      kernel: image.kernel,
      packages: [],
      tools: image.tools,
    },
    'images/tiny/image.yaml': {
      description: 'an image of a test',
      base: 'small',
      roles: ['haproxy'],
      version: { package: image.version, revision: 1 },
      packages: image.packages,
    },
  }
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), stringify(content))
  }
  const checkout = join(import.meta.dirname, '../../..')
  await copyFile(join(checkout, 'platform.yaml'), join(folder, 'platform.yaml'))
}
