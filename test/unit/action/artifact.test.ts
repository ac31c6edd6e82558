import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { uploadFiles, uploadImage } from '../../../src/action/artifact.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'

/** The real client of GitHub's toolkit and the local artifact service. It reads the variables of this process. */
let github: LocalGitHub
let folder: string
beforeEach(async () => {
  github = await LocalGitHub.start()
  folder = await mkdtemp(join(tmpdir(), 'seeder artifact '))
  for (const [name, value] of Object.entries(github.runtimeEnv())) vi.stubEnv(name, value)
  // The client writes its progress to the log of the step.
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  await writeFile(join(folder, file), content)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  await rm(folder, { recursive: true })
  await github.stop()
})

const file = 'haproxy-3.0.11-1.qcow2'
const content = Buffer.alloc(9 * 1024 * 1024, 'disk')
const sha256 = createHash('sha256').update(content).digest('hex')
const manifest = { qcow2: { file, sha256, size: content.length } }
const settings = () => ({ env: process.env, retentionDays: 7 })

describe('artifacts', () => {
  it('an image is uploaded without a zip, in blocks, under its own name', async () => {
    const artifact = await uploadImage(folder, manifest, settings())
    expect(artifact).toMatchObject({ name: file, size: content.length })
    expect(github.artifacts()).toMatchObject([{ id: artifact.id, name: file, size: content.length, sha256 }])
  })

  it('small files are zipped', async () => {
    await writeFile(join(folder, 'template.conf'), 'A=1\n')
    await uploadFiles('haproxy-3.0.11-1', folder, ['template.conf'], settings())
    expect(github.artifacts()).toMatchObject([{ name: 'haproxy-3.0.11-1', mimeType: 'application/zip' }])
  })

  it('an artifact of the same name is replaced', async () => {
    await uploadImage(folder, manifest, settings())
    const again = await uploadImage(folder, manifest, settings())
    expect(github.artifacts().map(({ id }) => id)).toEqual([again.id])
  })

  it('another digest at GitHub is an error', async () => {
    const other = { qcow2: { ...manifest.qcow2, sha256: '0'.repeat(64) } }
    await expect(uploadImage(folder, other, settings())).rejects.toThrow('GitHub received another file')
  })

  it('without the service the error names where it exists', async () => {
    vi.stubEnv('ACTIONS_RUNTIME_TOKEN', '')
    await expect(uploadImage(folder, manifest, settings())).rejects.toMatchObject({
      message: 'there is no artifact service here: ACTIONS_RUNTIME_TOKEN is not set',
    })
    expect(github.requests).toEqual([])
  })
})
