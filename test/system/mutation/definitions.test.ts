import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { BYTE_CHANGES, mutate, TEXT_CHANGES } from '../../support/mutation/bytes.ts'
import { CommandLine } from '../../support/mutation/command-line.ts'
import { complaints } from '../../support/mutation/complaints.ts'
import { Random, seedOf } from '../../support/mutation/random.ts'
import { failuresOf, first } from '../../support/mutation/rounds.ts'
import { mutateTree } from '../../support/mutation/tree.ts'
import { YAML_CHANGES } from '../../support/mutation/yaml.ts'
import { checkout, type Ended, seeder } from '../../support/seeder.ts'

/** Files that people write: spoiled in hundreds of ways, and given to the commands that read them. */
let root: string
const commands = new CommandLine()

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder-definitions-'))
  for (const name of [
    'platform.yaml',
    'images/base',
    'images/haproxy/image.yaml',
    'images/haproxy/image.lock.json',
  ]) {
    await mkdir(join(root, name, '..'), { recursive: true })
    await cp(join(checkout, name), join(root, name), { recursive: true })
  }
})
afterAll(async () => {
  commands.stop()
  await rm(root, { recursive: true })
})

const { truncated } = BYTE_CHANGES
const inspect = ['inspect', 'haproxy']
const files: [file: string, kind: 'yaml' | 'json', argvs: readonly (readonly string[])[]][] = [
  [
    'platform.yaml',
    'yaml',
    [
      ['platform', 'check'],
      ['platform', 'check', '--json'],
      ['platform', 'ports', '--nft', '--role', 'etcd'],
    ],
  ],
  ['images/haproxy/image.yaml', 'yaml', [inspect, [...inspect, '--json']]],
  ['images/base/debian-trixie.yaml', 'yaml', [inspect, [...inspect, '--json']]],
  ['images/haproxy/image.lock.json', 'json', [inspect, [...inspect, '--json']]],
]

function spoil(kind: 'yaml' | 'json', content: Buffer, random: Random) {
  const text = content.toString()
  if (random.next() < 0.5) {
    return kind === 'yaml'
      ? mutateTree(parse(text), random, (value) => stringify(value))
      : mutateTree(JSON.parse(text), random, (value) => JSON.stringify(value))
  }
  return mutate(
    content,
    { ...BYTE_CHANGES, ...TEXT_CHANGES, ...(kind === 'yaml' ? YAML_CHANGES : {}) },
    random,
  )
}

/** What is wrong with a lock is a part of what `inspect` shows: as if it were an error. */
function withProblem(ended: Ended): Ended {
  const problem = ended.stdout.startsWith('{')
    ? /"problem": "(.*)"/.exec(ended.stdout)?.[1]
    : /^ {2}lock {6}(.*\n(?: {2}→ .*)?)/m.exec(ended.stdout)?.[1]
  return /\.lock\.json|The lock of/.test(problem ?? '') ? { ...ended, code: 1, stderr: problem ?? '' } : ended
}

test.each(files)(
  '%s',
  async (file, kind, argvs) => {
    const path = join(root, file)
    const content = await readFile(path)
    const failures = await failuresOf({
      content,
      mutate: (text, random) => spoil(kind, text, random),
      async feed(spoiled, round) {
        await writeFile(path, spoiled)
        const ended = await commands.run(['-C', root, ...(argvs[round % argvs.length] ?? [])])
        return kind === 'json' ? withProblem(ended) : ended
      },
      names: [file, 'The lock of haproxy is stale'],
    })
    await writeFile(path, content)
    expect(first(failures)).toBe('')
  },
  240_000,
)

test.each(files)('%s, by the program as people start it', async (file, kind) => {
  const path = join(root, file)
  const content = await readFile(path)
  for (let round = 1; round <= 3; round++) {
    const random = new Random(seedOf(-round))
    // A lock that is cut short stops the build before anything is fetched.
    const { content: spoiled } =
      kind === 'yaml' ? spoil(kind, content, random) : mutate(content, { truncated }, random)
    await writeFile(path, spoiled)
    const argv = kind === 'yaml' ? inspect : ['build', 'haproxy', '--out', join(root, 'out')]
    const what = file === 'platform.yaml' ? ['platform', 'check'] : argv
    const ended = await seeder(['-C', root, ...what], { env: { XDG_CACHE_HOME: join(root, 'cache') } })
    // Or the image, when what comes after the file was read does not work.
    expect(complaints(ended, [file, 'haproxy'])).toEqual([])
  }
  await writeFile(path, content)
})
