import { chmod, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { compareVersions } from '../../../src/release/format/tag.ts'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import {
  configsOf,
  deploy,
  deployScript,
  inventory,
  mustDeploy,
  startHost,
  tagged,
} from '../../support/deploy/host.ts'
import { makeSmallImage } from '../../support/deploy/image.ts'
import { admitJobs, deployAsJob } from '../../support/deploy/job.ts'

/** Which versions may take the place of which: by a job, and by root. */
const root = await testFolder('deploy versions')
const versions = ['3.0.9-1', '3.0.10-1', '3.0.10-2', '3.0.11-1', '3.0.11-2', '3.0.11-3', '3.0.11-10']
let host: PveHost
let count = 0

beforeAll(async () => {
  for (const version of versions) await makeSmallImage(folder(version), { version, sizeMiB: 2 })
  // A job's files are read with the job's rights.
  await chmod(root, 0o755)
})
beforeEach(async () => {
  host = await startHost(join(root, `host-${count++}`))
  await admitJobs(host)
  await policy()
  return () => host.remove()
})
afterAll(() => rm(root, { recursive: true, force: true }))

const folder = (version: string) => join(root, version)

/** Writes deploy.conf, with lines beside those that every host here has. */
async function policy(...lines: readonly string[]): Promise<void> {
  const input = ['ALLOW_UNSIGNED=1', 'SMOKE=0', 'STORAGE=local', ...lines, ''].join('\n')
  await host.run(['tee', '/etc/seeder/deploy.conf'], { input })
}

/** The versions of the templates that are there, the current one first. */
async function templates(): Promise<string[]> {
  const { stdout } = await mustDeploy(host, ['--list', '--json'])
  return JSON.parse(stdout).templates.map(({ version }: { version: string }) => version)
}

async function deployAll(...list: readonly string[]): Promise<void> {
  await mustDeploy(host, list.map(folder))
}

test('a job’s old releases neither become current nor retire newer ones', async () => {
  await deployAll('3.0.11-1', '3.0.11-2', '3.0.11-10')
  const before = await inventory(host)
  for (const version of ['3.0.9-1', '3.0.10-1', '3.0.10-2', '3.0.11-3']) {
    const { code, stderr } = await deployAsJob(host, [folder(version)])
    expect(stderr).toContain(
      `haproxy ${version} is older than 3.0.11-10, which is current here (template 9002); through sudo`,
    )
    expect(stderr).toContain('→ as root on this host')
    expect(code).toBe(1)
    expect(await inventory(host)).toBe(before)
  }
  // One that is here already is no newer for that.
  for (const argv of [
    [folder('3.0.11-2')],
    ['--rollback', 'haproxy'],
    ['--rollback', 'haproxy', '3.0.11-1'],
  ]) {
    const { code, stderr } = await deployAsJob(host, argv)
    expect([code, stderr]).toEqual([1, expect.stringContaining('is older than 3.0.11-10')])
    expect(await inventory(host)).toBe(before)
  }
  const planned = await deployAsJob(host, ['--dry-run', folder('3.0.9-1')])
  expect([planned.code, planned.stderr]).toEqual([1, expect.stringContaining('is older than 3.0.11-10')])
})

test('a version that root rolled back from is not retired by a later deploy of a job', async () => {
  await deployAll('3.0.11-1', '3.0.11-2', '3.0.11-10')
  await mustDeploy(host, ['--rollback', 'haproxy', '3.0.11-1'])
  const { code, stderr } = await deployAsJob(host, [folder('3.0.11-3')])
  expect(code, stderr).toBe(0)
  expect(stderr).toContain(
    'haproxy 3.0.11-2 (template 9001) is kept: through sudo it makes room only for newer ones',
  )
  expect(await templates()).toEqual(['3.0.11-3', '3.0.11-1', '3.0.11-10', '3.0.11-2'])
  expect((await deployAsJob(host, ['--retire'])).code).toBe(0)
  expect(await templates()).toHaveLength(4)
  await mustDeploy(host, ['--retire'])
  expect(await templates()).toEqual(['3.0.11-3', '3.0.11-1', '3.0.11-10'])
})

test('an interrupted deploy of a job retires nothing newer either, when root finishes it', async () => {
  await deployAll('3.0.11-1', '3.0.11-2', '3.0.11-10')
  await mustDeploy(host, ['--rollback', 'haproxy', '3.0.11-1'])
  await host.faults.set({ kind: 'power-cut', when: 'before', match: '^qm set 9000 --tags', at: 1 })
  const cut = deployAsJob(host, [folder('3.0.11-3')]).catch(() => undefined)
  await host.waitForPowerCut()
  await cut
  await host.start()
  await host.faults.clear()
  const { stderr } = await mustDeploy(host, ['--recover'])
  expect(stderr).toContain('it is finished: haproxy 3.0.11-3')
  expect(await templates()).toEqual(['3.0.11-3', '3.0.11-1', '3.0.11-10', '3.0.11-2'])
})

test('newer ones still replace older ones through sudo, and root may go back', async () => {
  for (const version of ['3.0.9-1', '3.0.10-1', '3.0.11-2', '3.0.11-10']) {
    const { code, stderr } = await deployAsJob(host, [folder(version)])
    expect(code, stderr).toBe(0)
  }
  expect(await templates()).toEqual(['3.0.11-10', '3.0.11-2', '3.0.10-1'])
  await deployAll('3.0.9-1')
  expect(await templates()).toEqual(['3.0.9-1', '3.0.11-10', '3.0.11-2'])
})

test('where root allows it a job may deploy an older version, and still retires nothing newer', async () => {
  await deployAll('3.0.11-1', '3.0.11-2', '3.0.11-10')
  await policy('ALLOW_OLDER=1', 'MINIMUM=haproxy=3.0.10-1')
  expect((await deployAsJob(host, ['--rollback', 'haproxy'])).code).toBe(0)
  for (const version of ['3.0.10-1', '3.0.10-2']) {
    expect((await deployAsJob(host, [folder(version)])).code).toBe(0)
  }
  expect(await templates()).toEqual(['3.0.10-2', '3.0.10-1', '3.0.11-2', '3.0.11-10', '3.0.11-1'])
  const below = await deployAsJob(host, [folder('3.0.9-1')])
  expect([below.code, below.stderr]).toEqual([1, expect.stringContaining('is older than 3.0.10-1')])
})

test('no version below the minimum of the policy is accepted, and no option changes that', async () => {
  await deployAll('3.0.10-2', '3.0.11-2')
  await policy('MINIMUM=etcd=9-1, haproxy=3.0.11-1')
  for (const argv of [
    [folder('3.0.10-1')],
    [folder('3.0.10-2')],
    ['--dry-run', folder('3.0.9-1')],
    ['--rollback', 'haproxy'],
  ]) {
    const { code, stderr } = await deploy(host, argv)
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /haproxy 3\.0\.\S+ is not taken: it is older than 3\.0\.11-1, the oldest version that \/etc\/seeder\/deploy\.conf allows\n {2}→ /,
      ),
    ])
  }
  expect(await tagged(host, 'current')).toEqual([9001])
  await deployAll('3.0.11-3')
  expect(await tagged(host, 'current')).toEqual([9002])
})

test.each<[string[], string]>([
  [['MINIMUM=haproxy'], "line 4: found 'haproxy'"],
  [['MINIMUM=haproxy=3.0.11'], "found 'haproxy=3.0.11'"],
  [['MINIMUM=haproxy=3.0.11-1', 'MINIMUM=etcd=1-1 haproxy=3.0.9-1'], 'line 5 sets 3.0.9-1 of haproxy'],
  [['ALLOW_OLDER=yes'], "ALLOW_OLDER is 'yes'"],
])('a policy of %j is refused', async (lines, words) => {
  await policy(...lines)
  const { code, stderr } = await deploy(host, ['--list'])
  expect([code, stderr]).toEqual([2, expect.stringContaining(words)])
  expect((await configsOf(host)).size).toBe(0)
})

test('versions are ordered as everywhere in Seeder', async () => {
  const script = await readFile(deployScript, 'utf8')
  const functions = ['comparable', 'older'].map(
    (name) => new RegExp(`^${name}\\(\\) \\{(.* \\}$|[^]*?^\\})`, 'm').exec(script)?.[0] ?? '',
  )
  const all = [
    '1.0-1',
    '1.0-2',
    '1.0-10',
    '1.0.0-1',
    '1.0rc1-1',
    '1.0rc2-1',
    '1.0.rc1-1',
    '1.0beta3-1',
    '1.0-010',
    '1.9-1',
  ]
  all.push(
    '1.10-1',
    '1.0a-1',
    '1.0.1-1',
    '2-1',
    '10-1',
    '3.0.11-99',
    '3.0.11-100',
    '3.0.9-999999',
    '1.0RC1-1',
    '01.0-1',
  )
  const pairs = all.flatMap((left) => all.map((right) => [left, right] as const))
  const { stdout } = await execa(
    'bash',
    [
      '-c',
      `${functions.join('\n')}\nwhile read -r a b; do if older "$a" "$b"; then echo 1; else echo 0; fi; done`,
    ],
    {
      input: pairs
        .map((pair) => pair.join(' '))
        .join('\n')
        .concat('\n'),
    },
  )
  const found = stdout.split('\n').map((line, index) => [...(pairs[index] ?? []), line === '1'])
  expect(found).toEqual(pairs.map(([left, right]) => [left, right, compareVersions(left, right) < 0]))
})
