import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DefaultArtifactClient } from '@actions/artifact'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { octokitFor } from '../../stand-ins/github/octokit.ts'

const repo = { owner: 'operator', repo: 'platform' }
// More than the client sends in one block.
const content = randomBytes(20 * 1024 * 1024)
let github: LocalGitHub
let folder: string
let file: string

beforeEach(async () => {
  github = await LocalGitHub.start()
  folder = await mkdtemp(join(tmpdir(), 'artifacts-'))
  file = join(folder, 'haproxy-3.0.11-1.qcow2')
  await writeFile(file, content)
  enter(github.runtimeEnv())
  // The client talks to the runner's log.
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
})

afterEach(async () => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  await rm(folder, { recursive: true })
  await github.stop()
})

function enter(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
}

describe('the artifact client', () => {
  it('uploads a file as it is, in blocks, and gets it again', async () => {
    const client = new DefaultArtifactClient()
    const made = await client.uploadArtifact('ignored', [file], folder, { skipArchive: true })
    const digest = createHash('sha256').update(content).digest('hex')
    expect(made).toMatchObject({ size: content.length, digest, id: 1 })
    expect(github.artifacts()).toMatchObject([
      { name: 'haproxy-3.0.11-1.qcow2', size: content.length, sha256: digest },
    ])
    expect(github.requests.filter(({ query }) => query.includes('comp=block&')).length).toBe(3)

    const target = join(folder, 'again')
    await client.downloadArtifact(made.id ?? 0, { path: target })
    expect((await readFile(join(target, 'haproxy-3.0.11-1.qcow2'))).equals(content)).toBe(true)
  })

  it('uploads files as an archive, which the API lists and gives', async () => {
    const client = new DefaultArtifactClient()
    const { digest } = await client.uploadArtifact('logs', [file], folder, { compressionLevel: 0 })
    const octokit = octokitFor(github, github.token({ actions: 'read' }))
    const { data } = await octokit.actions.listArtifactsForRepo({ ...repo, name: 'logs' })
    expect(data).toMatchObject({ total_count: 1, artifacts: [{ name: 'logs', digest: `sha256:${digest}` }] })
    const [{ id = 0 } = {}] = data.artifacts
    const zip = await octokit.actions.downloadArtifact({ ...repo, artifact_id: id, archive_format: 'zip' })
    const bytes = Buffer.from(zip.data as ArrayBuffer)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(digest)
  })

  it('is refused a second artifact of a name in a run, and not in another run', async () => {
    const upload = () =>
      new DefaultArtifactClient().uploadArtifact('x', [file], folder, { skipArchive: true })
    await upload()
    await expect(upload()).rejects.toThrow('an artifact with this name already exists on the workflow run')
    enter(github.runtimeEnv('run-2'))
    expect(await upload()).toMatchObject({ id: 2 })
    enter({ ACTIONS_RUNTIME_TOKEN: `${process.env.ACTIONS_RUNTIME_TOKEN}x` })
    await expect(upload()).rejects.toThrow('invalid token')
  })

  it('finds out that other bytes were stored', async () => {
    github.faults.add({ on: 'blob', match: /^PUT .*comp=block&/, do: 'wrong-digest' })
    const upload = new DefaultArtifactClient().uploadArtifact('x', [file], folder, { skipArchive: true })
    await expect(upload).rejects.toThrow('the content is not what was announced')
    expect(github.artifacts()).toEqual([])
  })
})
