import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { z } from 'zod'
import {
  containerImage,
  greetingProgram,
  IMAGE_NAME,
} from '../../../../src/boot-test/kubernetes/container-image.ts'

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-'))
  await work(folder).finally(() => rm(folder, { recursive: true }))
}

test('the kernel runs the program, which prints its line and ends with 0', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'greet')
    await writeFile(file, greetingProgram('good day\n'), { mode: 0o755 })
    const { stdout, exitCode } = await execa(file)
    expect([stdout, exitCode]).toEqual(['good day', 0])
  }))

test('the archive is an OCI image layout with correct digests', () =>
  inFolder(async (folder) => {
    await execa('tar', ['--extract', '--file=-', '--directory', folder], { input: containerImage() })
    const read = async (path: string) =>
      JSON.parse((await execa('cat', [join(folder, path)])).stdout) as unknown
    expect(await read('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' })
    const part = z.object({ digest: z.string(), size: z.number(), mediaType: z.string() })
    const index = z
      .object({ manifests: z.array(part.extend({ annotations: z.record(z.string(), z.string()) })) })
      .parse(await read('index.json'))
    const [manifestPart] = index.manifests
    expect(manifestPart?.annotations['io.containerd.image.name']).toBe(IMAGE_NAME)
    const blob = (digest: string) => `blobs/${digest.replace(':', '/')}`
    const manifest = z
      .object({ config: part, layers: z.array(part) })
      .parse(await read(blob(manifestPart?.digest ?? '')))
    for (const { digest, size } of [manifestPart, manifest.config, ...manifest.layers].flatMap(
      (part) => part ?? [],
    )) {
      const { stdout } = await execa('sha256sum', [join(folder, blob(digest))])
      expect(`sha256:${stdout.split(' ')[0]}`).toBe(digest)
      expect(Number((await execa('stat', ['--format=%s', join(folder, blob(digest))])).stdout)).toBe(size)
    }
    const layer = join(folder, blob(manifest.layers[0]?.digest ?? ''))
    const { stdout } = await execa('tar', ['--list', '--verbose', '--numeric-owner', '--file', layer])
    expect(stdout).toMatch(/^-rwxr-xr-x 0\/0 .* greet$/)
  }))
