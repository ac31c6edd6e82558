import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BYTE_CHANGES, mutate, TEXT_CHANGES } from '../../support/mutation/bytes.ts'
import { CommandLine } from '../../support/mutation/command-line.ts'
import { complaints } from '../../support/mutation/complaints.ts'
import { Random, ROUNDS, seedOf } from '../../support/mutation/random.ts'
import { failuresOf, first, type Parser } from '../../support/mutation/rounds.ts'
import { mutateTree } from '../../support/mutation/tree.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'
import { seeder } from '../../support/seeder.ts'

/** The files of a build or a download: spoiled in hundreds of ways, and given to the commands that read them. */
let root: string
let build: string
let before: string
const commands = new CommandLine()
const name = 'haproxy-3.0.12-1'

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder-evidence-'))
  build = join(root, 'build')
  before = join(root, 'before')
  await makeTestedBuild(build, null, { version: '3.0.12-1', evidence: true })
  await makeTestedBuild(before, null, { evidence: true })
  await cp(build, join(root, 'whole'), { recursive: true })
})
afterAll(async () => {
  commands.stop()
  await rm(root, { recursive: true })
})

const verify = () => ['verify', '--allow-unsigned', build]
const inspect = () => ['inspect', build]
const report = () => ['report', build, '--against', before, '--out', join(root, 'page.html')]
const diff = () => ['diff', before, build]
const newer = () => ['diff', build, before, '--markdown']

const files: [file: string, commands: readonly (() => string[])[]][] = [
  [`${name}.manifest.json`, [verify, inspect, report, diff, newer]],
  [`${name}.files.json`, [verify, report, diff, newer]],
  [`${name}.cdx.json`, [verify, report, diff]],
  [`${name}.spdx.json`, [verify, report]],
  [`${name}.provenance.json`, [verify, report, diff]],
  [`${name}.bundle.json`, [verify]],
  ['test-report.json', [verify, report, diff, newer]],
  ['SHA256SUMS', [verify, inspect, report, diff]],
  ['template.conf', [verify]],
]

/** What else a refusal may name: a file of which the spoiled one says something, or what it says. */
const elsewhere: Readonly<Record<string, readonly string[]>> = {
  [`${name}.manifest.json`]: ['and the newer of', 'which is no version of an image'],
  SHA256SUMS: [`${name}.manifest.json`, 'template.conf', 'and the newer of'],
}

/** The files of evidence share their rounds: one reader looks at all of them. */
function roundsOf(file: string): number {
  return file === 'SHA256SUMS' || file.endsWith('.manifest.json') ? ROUNDS : Math.ceil(ROUNDS / 6)
}

function spoil(file: string, content: Buffer, random: Random) {
  if (file.endsWith('.json') && random.next() < 0.6) {
    return mutateTree(JSON.parse(content.toString()), random, (value) => JSON.stringify(value))
  }
  return mutate(content, { ...BYTE_CHANGES, ...TEXT_CHANGES }, random)
}

test.each(files)(
  '%s',
  async (file, argvs) => {
    const path = join(build, file)
    const content = await readFile(path)
    const parser: Parser = {
      content,
      mutate: (text, random) => spoil(file, text, random),
      async feed(spoiled, round) {
        await writeFile(path, spoiled)
        return commands.run(argvs[round % argvs.length]?.() ?? [])
      },
      names: [file, ...(elsewhere[file] ?? [])],
    }
    const failures = await failuresOf(parser, roundsOf(file))
    await writeFile(path, content)
    expect(first(failures)).toBe('')
  },
  240_000,
)

test.each(files)('%s, by the program as people start it', async (file, argvs) => {
  const path = join(build, file)
  const content = await readFile(path)
  for (const [index, argv] of argvs.slice(0, 2).entries()) {
    await writeFile(path, spoil(file, content, new Random(seedOf(-1 - index))).content)
    const ended = await seeder(argv())
    expect(complaints(ended, [file, ...(elsewhere[file] ?? [])])).toEqual([])
  }
  await writeFile(path, content)
})

test('the files of the build are as they were', async () => {
  for (const [file] of files) {
    expect((await readFile(join(build, file))).equals(await readFile(join(root, 'whole', file)))).toBe(true)
  }
})
