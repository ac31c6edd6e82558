import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { makeSigner, sign } from '../../support/deploy/image.ts'
import { seedImage } from '../../support/release/seed.ts'
import { makeTestedBuild, tamper } from '../../support/release/tested-build.ts'
import { type Ended, seeder } from '../../support/seeder.ts'

const page = 'haproxy-3.0.12-1.report.html'
let github: LocalGitHub
let root: string
let build: string
let allowed: string
let count = 0

beforeAll(async () => {
  github = await LocalGitHub.start()
  root = await mkdtemp(join(tmpdir(), 'seeder report '))
  await seedImage(
    github,
    await makeTestedBuild(join(root, 'promoted'), github.git.head(), { evidence: true }),
  )
  build = join(root, 'build')
  await makeTestedBuild(build, null, { version: '3.0.12-1', evidence: true })
  const signer = await makeSigner(join(root, 'keys'))
  await sign(build, signer)
  allowed = join(root, 'allowed signers')
  await writeFile(allowed, signer.allowed)
})
afterAll(async () => {
  await github.stop()
  await rm(root, { recursive: true })
})

async function copy(): Promise<string> {
  const folder = join(root, `copy ${count++}`)
  await cp(build, folder, { recursive: true })
  return folder
}

function report(...argv: string[]): Promise<Ended> {
  const env = {
    GITHUB_TOKEN: github.token(),
    GH_TOKEN: '',
    GITHUB_REPOSITORY: github.repository,
    GITHUB_API_URL: github.apiUrl,
  }
  return seeder(['report', ...argv], { env })
}

describe('`report`', () => {
  it('writes the page of a signed, tested build into its folder, compared with the promoted version', async () => {
    const folder = await copy()
    const ended = await report(folder, '--against', 'haproxy:promoted', '--allowed-signers', allowed)
    expect(ended).toEqual({ code: 0, stdout: join(folder, page), stderr: '' })
    const text = await readFile(join(folder, page), 'utf8')
    expect(text).toContain('Passed: 2 of 2 checks')
    expect(text).toContain('Signed by release@example.internal')
    expect(text).toContain('All in order')
    expect(text).toContain('Since the promoted version 3.0.11-1')
    expect(text).toContain('href="haproxy-3.0.12-1.spdx.json"')
    // It has no path of this machine.
    expect(text).not.toContain(root)
  })

  it('writes the same page again, in another folder, over an earlier one', async () => {
    const [folder, other] = [await copy(), await copy()]
    await report(folder, '--allowed-signers', allowed)
    const first = await readFile(join(folder, page), 'utf8')
    await report(folder, '--allowed-signers', allowed)
    await report(other, '--allowed-signers', allowed)
    expect((await readFile(join(folder, page), 'utf8')) === first).toBe(true)
    expect((await readFile(join(other, page), 'utf8')) === first).toBe(true)
    expect((await readdir(folder)).filter((name) => name.includes('report.html'))).toEqual([page])
  }, 120_000)

  it('writes to --out, and then links nothing', async () => {
    const folder = await copy()
    const out = join(root, 'somewhere.html')
    expect((await report(folder, '--out', out)).stdout).toBe(out)
    expect(await readFile(out, 'utf8')).not.toContain('href="haproxy')
    expect(await readdir(folder)).not.toContain(page)
  })

  it('calls an image neither tested nor signed when it is not', async () => {
    const folder = await copy()
    await rm(join(folder, 'SHA256SUMS.sig'))
    await rm(join(folder, 'test-report.json'))
    await report(folder, '--allowed-signers', allowed)
    const text = await readFile(join(folder, page), 'utf8')
    for (const words of ['Not tested', 'Not signed', 'Not compared', 'All in order'])
      expect(text).toContain(words)
  })

  it('warns against using an image with a damaged disk or a changed signature', async () => {
    const folder = await copy()
    await tamper(join(folder, 'haproxy-3.0.12-1.qcow2'))
    await tamper(join(folder, 'SHA256SUMS.sig'))
    expect((await report(folder, '--allowed-signers', allowed)).code).toBe(0)
    const text = await readFile(join(folder, page), 'utf8')
    for (const words of ['Do not use', 'Wrong signature']) expect(text).toContain(words)
    expect(text).not.toContain(root)
  })

  it('replaces a link of that name instead of writing through it', async () => {
    const folder = await copy()
    const secret = join(root, 'secret')
    await writeFile(secret, 'mine')
    for (const name of [page, `${page}.part`]) await symlink(secret, join(folder, name))
    expect((await report(folder)).code).toBe(0)
    expect(await readFile(secret, 'utf8')).toBe('mine')
    expect(await readFile(join(folder, page), 'utf8')).toContain('image report')
  })
})

describe('`report` refuses', () => {
  it.each<[string, (folder: string) => string[], number, string]>([
    ['a folder without a build', () => [root], 1, 'it has no SHA256SUMS'],
    [
      'an --out that is no HTML file',
      (folder) => [folder, '--out', join(folder, 'SHA256SUMS')],
      2,
      'give a name that ends with .html',
    ],
    [
      'an --against that is no version',
      (folder) => [folder, '--against', 'nothing'],
      2,
      'is not the tag of an image’s release',
    ],
    [
      'a list of signers that does not exist',
      (folder) => [folder, '--allowed-signers', 'nowhere'],
      2,
      '--allowed-signers nowhere does not exist',
    ],
  ])('%s', async (_, argv, code, complaint) => {
    const ended = await report(...argv(await copy()))
    expect(ended.stderr).toContain(complaint)
    expect(ended.code).toBe(code)
  })

  it('a manifest whose name would be a path', async () => {
    const folder = await copy()
    const file = join(folder, 'haproxy-3.0.12-1.manifest.json')
    await writeFile(
      file,
      (await readFile(file, 'utf8')).replace('"version": "3.0.12-1"', '"version": "../../3.0-1"'),
    )
    const ended = await report(folder)
    expect(ended.stderr).toContain('which is no version of an image')
    expect(ended.code).toBe(1)
  })
})
