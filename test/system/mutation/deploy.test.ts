import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { deployScript, inventory, mustDeploy, startHost } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage, writeSums } from '../../support/deploy/image.ts'
import { BYTE_CHANGES, mutate, TEXT_CHANGES } from '../../support/mutation/bytes.ts'
import { QCOW2_CHANGES } from '../../support/mutation/qcow2.ts'
import { Random, ROUNDS, seedOf } from '../../support/mutation/random.ts'
import { failuresOf, first, type Parser } from '../../support/mutation/rounds.ts'

/** The files that deploy.sh reads on a host: spoiled in hundreds of ways, with sums that are right for them. */
const root = await testFolder('deploy mutations')
let host: PveHost
let image: SmallImage
let untouched: string

beforeAll(async () => {
  image = await makeSmallImage(join(root, 'image'), { sizeMiB: 2 })
  host = await startHost(join(root, 'host'))
  // A plan makes the folders of deploy.sh's state.
  await mustDeploy(host, ['--recover'])
  untouched = await inventory(host)
})
afterAll(async () => {
  await host.remove()
  await rm(root, { recursive: true, force: true })
})

const names = ['template.conf', 'haproxy-3.0.11-1.manifest.json', 'haproxy-3.0.11-1.qcow2', 'SHA256SUMS']

/** What plans a deploy of each folder in turn, in one go: what each printed, and how it ended. */
const planEach = `
for folder in "$2"/*/; do
  folder=\${folder%/}
  timeout -s KILL 90 "$1" --storage local --no-smoke --dry-run "$folder" >"$folder.out" 2>"$folder.err" </dev/null
  echo $? >"$folder.code"
done`

const ways = {
  'template.conf': { ...BYTE_CHANGES, ...TEXT_CHANGES },
  'haproxy-3.0.11-1.manifest.json': { ...BYTE_CHANGES, ...TEXT_CHANGES },
  'haproxy-3.0.11-1.qcow2': { ...BYTE_CHANGES, ...QCOW2_CHANGES },
  SHA256SUMS: { ...BYTE_CHANGES, ...TEXT_CHANGES },
}

test.each(Object.entries(ways))(
  '%s',
  async (file, changes) => {
    const cases = join(root, `cases of ${file}`)
    const content = await readFile(join(image.folder, file))
    const spoil = (text: Buffer, random: Random) => mutate(text, changes, random)
    const rounds = file.endsWith('.json') ? Math.ceil(ROUNDS / 4) : ROUNDS
    for (let round = 0; round < rounds; round++) {
      const folder = join(cases, String(round))
      await mkdir(folder, { recursive: true })
      for (const name of names.filter((one) => one !== file && (one !== 'SHA256SUMS' || file === one))) {
        await link(join(image.folder, name), join(folder, name))
      }
      await writeFile(join(folder, file), spoil(content, new Random(seedOf(round))).content)
      if (file !== 'SHA256SUMS') await writeSums(folder, image.manifest)
    }
    await host.run(['bash', '-c', planEach, 'plan', deployScript, cases])
    const parser: Parser = {
      content,
      mutate: spoil,
      async feed(_, round) {
        const read = (what: string) => readFile(join(cases, `${round}.${what}`), 'utf8')
        return { code: Number(await read('code')), stdout: await read('out'), stderr: await read('err') }
      },
      // Sums with a missing line are recognized by the file that they do not name.
      names: [file, ...(file === 'SHA256SUMS' ? [] : ['SHA256SUMS'])],
    }
    const failures = await failuresOf(parser, rounds)
    await rm(cases, { recursive: true })
    expect(first(failures)).toBe('')
  },
  600_000,
)

test('the host is as it was, and nothing is left of the copies', async () => {
  expect(await inventory(host)).toBe(untouched)
  expect(await readdir(host.path('/var/lib/seeder/stage'))).toEqual([])
})
