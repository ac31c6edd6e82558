import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CONTENTS_FILE } from '../../../src/release/format/contents.ts'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import type { StoredAsset, StoredRelease } from '../../stand-ins/github/releases.ts'
import { sha256 } from '../../support/deploy/image.ts'
import { BYTE_CHANGES, mutate, TEXT_CHANGES } from '../../support/mutation/bytes.ts'
import { CommandLine } from '../../support/mutation/command-line.ts'
import type { Random } from '../../support/mutation/random.ts'
import { failuresOf, first } from '../../support/mutation/rounds.ts'
import { mutateTree } from '../../support/mutation/tree.ts'
import { seedBuild } from '../../support/release/seeded.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'

/** release.json of a release on GitHub, which whoever may edit a release can write: spoiled in hundreds of ways. */
const tag = 'haproxy-3.0.11-1'
let root: string
let github: LocalGitHub
let commands: CommandLine
let release: StoredRelease
let asset: StoredAsset
let content: Buffer

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder-release-'))
  const build = await makeTestedBuild(join(root, 'build'), null, { evidence: true })
  github = await LocalGitHub.start()
  const bundle = { name: `${tag}.bundle.tar`, size: 6, sha256: sha256(Buffer.from('bundle')) }
  release = await seedBuild(github, build, {
    signed: false,
    contents(contents) {
      const bundled = { ...contents, bundleFile: { ...bundle, parts: [bundle] } }
      content = Buffer.from(JSON.stringify(bundled))
      return bundled
    },
    assets: { [bundle.name]: 'bundle' },
  })
  const found = release.assets.find(({ name }) => name === CONTENTS_FILE)
  if (!found) throw new Error('the release has no release.json')
  asset = found
  commands = new CommandLine({
    GITHUB_TOKEN: github.token(),
    GITHUB_REPOSITORY: github.repository,
    GITHUB_API_URL: github.apiUrl,
  })
})
afterAll(async () => {
  commands.stop()
  await github.stop()
  await rm(root, { recursive: true })
})

const argvs = () => [
  ['verify', tag, '--allow-unsigned'],
  ['diff', tag, join(root, 'build')],
  ['promote', tag, '--allow-unsigned', '--json'],
]

function spoil(text: Buffer, random: Random) {
  if (random.next() < 0.6) {
    return mutateTree(JSON.parse(text.toString()), random, (value) => JSON.stringify(value))
  }
  return mutate(text, { ...BYTE_CHANGES, ...TEXT_CHANGES }, random)
}

test('as it is, each command takes it', async () => {
  for (const argv of argvs()) expect(await commands.run(argv)).toMatchObject({ code: 0 })
})

test(CONTENTS_FILE, async () => {
  const failures = await failuresOf({
    content,
    mutate: spoil,
    async feed(spoiled, round) {
      // A promotion may have gone through.
      release.prerelease = true
      await writeFile(asset.file, spoiled)
      Object.assign(asset, { size: spoiled.length, sha256: sha256(spoiled) })
      const all = argvs()
      return commands.run(all[round % all.length] ?? [])
    },
    // An asset that it leaves out is named instead.
    names: [CONTENTS_FILE, 'is not as it was published'],
  })
  expect(first(failures)).toBe('')
}, 240_000)
