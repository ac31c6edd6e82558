import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Lock } from '../../../src/image/lock.ts'
import { isAtLeast, upstreamVersion } from '../../../src/image/resolve.ts'
import { createKey } from '../../support/archive/key.ts'
import type { Fault } from '../../support/archive/server.ts'
import { type Ended, seeder } from '../../support/seeder.ts'
import { createUbuntuArchive, type UbuntuArchive } from '../../support/ubuntu/archive.ts'
import { ubuntuProject } from '../../support/ubuntu/project.ts'
import { indexPath, SUITES } from '../../support/ubuntu/suites.ts'

/** The images on Ubuntu, locked against an archive in Ubuntu's shape; the tools come from Debian's own. */
const root = await mkdtemp(join(tmpdir(), 'seeder ubuntu '))
let archive: UbuntuArchive
let project = ''
let first: Ended[]

beforeAll(async () => {
  archive = await createUbuntuArchive(['etcd', 'kubernetes-node'])
  project = await ubuntuProject(join(root, 'project'), archive)
  first = await Promise.all(['etcd', 'kubernetes-node'].map((name) => run('lock', name)))
}, 5 * 60_000)
afterAll(async () => {
  await archive?.close()
  await rm(root, { recursive: true, force: true })
})
beforeEach(() => archive.server.faults.clear())

/** Each run has a cache of its own. */
async function run(command: string, image: string, ...more: string[]): Promise<Ended> {
  const cache = await mkdtemp(join(root, 'cache-'))
  return seeder(['--verbose', '-C', project, command, image, ...more], {
    env: { ...archive.env, XDG_CACHE_HOME: cache },
  })
}

async function readLock(image: string): Promise<Lock> {
  return JSON.parse(await readFile(join(project, 'images', image, 'image.lock.json'), 'utf8'))
}

/** The error and its fix, of a run that must fail. */
function refusal(ended: Ended): { error: string; fix: string } {
  expect(ended).toMatchObject({ code: 1, stdout: '' })
  const [, error = '', fix = ''] = /^seeder: (.+)\n {2}→ (.+)$/m.exec(ended.stderr) ?? []
  return { error, fix }
}

describe('lock', () => {
  it('takes each package from Ubuntu, main or universe, and the newest of its pockets', async () => {
    expect(first[0]).toMatchObject({ code: 0 })
    const { packages, base } = await readLock('etcd')
    expect(base).toBe('ubuntu-resolute')
    expect(new Set(packages.map((one) => one.archive))).toEqual(new Set(['ubuntu']))
    const find = (name: string) => packages.find((one) => one.name === name)
    expect(find('linux-image-virtual')).toMatchObject({ version: '7.0.0-34.34' })
    expect(find('linux-image-cloud-amd64')?.path).toMatch(/^pool\/main\//)
    expect(find('qemu-guest-agent')?.path).toMatch(/^pool\/universe\//)
  })

  it('takes the tools from Debian', async () => {
    const { tools } = await readLock('etcd')
    expect(tools.map((one) => one.name)).toContain('erofs-utils')
    for (const one of tools) expect(one.archive).toMatch(/^debian(-security)?$/)
  })

  it('pins etcd’s tarball by the digest of upstream’s list', async () => {
    const { artifacts, version } = await readLock('etcd')
    expect(version).toMatch(/^3\.7\.\d+-1$/)
    const release = `etcd/v${artifacts[0]?.version}`
    const list = await readFile(join(archive.folder, release, 'SHA256SUMS'), 'utf8')
    expect(list).toContain(`${artifacts[0]?.sha256}  etcd-v${artifacts[0]?.version}-linux-amd64.tar.gz\n`)
  })

  it('takes Kubernetes from its own repository, whose key it fetches, and containerd from Ubuntu', async () => {
    expect(first[1]).toMatchObject({ code: 0 })
    const { packages, version } = await readLock('kubernetes-node')
    expect(version).toBe('1.37.2-1')
    const own = packages.filter((one) => one.archive === 'kubernetes')
    expect(own.map((one) => `${one.name} ${one.version}`)).toEqual([
      'cri-tools 1.37.0-1.1',
      'kubeadm 1.37.2-1.1',
      'kubectl 1.37.2-1.1',
      'kubelet 1.37.2-1.1',
      'kubernetes-cni 1.10.0-1.1',
    ])
    const key = await readFile(join(project, 'images/kubernetes-node/keys/kubernetes.asc'), 'utf8')
    expect(key).toBe(archive.keys.kubernetes.armored)
    const containerd = packages.find((one) => one.name === 'containerd')
    expect(containerd?.archive).toBe('ubuntu')
    expect(isAtLeast(upstreamVersion(containerd?.version ?? ''), '2.0')).toBe(true)
  })
})

describe('an archive that cannot be trusted or read', () => {
  it.each(SUITES)('%s is signed by another key', async (suite) => {
    const stranger = await createKey('stranger')
    onTestFinished(() => stranger.discard())
    await archive.publish(suite, { signer: stranger })
    onTestFinished(() => archive.publish(suite))
    const { error, fix } = refusal(await run('lock', 'etcd'))
    expect(error).toMatch(
      new RegExp(`^Reading the ubuntu archive's indexes failed: .* ${suite} .*not signed`),
    )
    expect(fix).toContain(`not signed by a key of ${archive.keys.ubuntu.keyring}`)
  })

  it('has a key that has expired', async () => {
    const old = await createKey('old', { expired: true })
    onTestFinished(() => old.discard())
    const target = await ubuntuProject(join(root, 'expired'), {
      ...archive,
      keys: { ...archive.keys, ubuntu: old },
    })
    for (const suite of SUITES) await archive.publish(suite, { signer: old })
    onTestFinished(async () => {
      for (const suite of SUITES) await archive.publish(suite)
    })
    const { error } = refusal(await run('-C', target, 'lock', 'etcd'))
    expect(error).toMatch(/^Reading the ubuntu archive's indexes failed: .*(not signed|EXPKEYSIG)/)
  })

  it('serves an outdated index', async () => {
    await archive.publish('resolute-updates', { validUntil: new Date('2026-05-01') })
    onTestFinished(() => archive.publish('resolute-updates'))
    const { error, fix } = refusal(await run('lock', 'etcd'))
    expect(error).toMatch(/resolute-updates.* expired/)
    expect(fix).toBe('the mirror serves an outdated index: use another mirror')
  })

  it.each<Fault>(['missing', 'tampered'])('has an index that is %s', async (fault) => {
    const path = indexPath('resolute-security', 'main')
    archive.server.faults.set(`ubuntu/${path}`, fault)
    const { error } = refusal(await run('lock', 'etcd'))
    expect(error).toContain(`Reading the ubuntu archive's indexes failed: `)
    // Of an index that is missing apt names the plain form.
    expect(error).toContain(path.replace('.gz', ''))
  })

  it('has a repository beside it that another key signs', async () => {
    const stranger = await createKey('stranger')
    onTestFinished(() => stranger.discard())
    const target = await ubuntuProject(join(root, 'stranger'), {
      ...archive,
      keys: { ...archive.keys, kubernetes: stranger },
    })
    const { error } = refusal(await run('-C', target, 'lock', 'kubernetes-node'))
    expect(error).toContain(`/kubernetes/v1.37/Release.key is not the key that image.yaml names`)
    expect(error).toContain(stranger.fingerprint)
    expect(await readdir(join(target, 'images/kubernetes-node'))).not.toContain('image.lock.json')
  })
})

describe('a file that changed after it was locked stops the build', () => {
  const build = () => run('build', 'etcd', '--out', join(root, 'out'))

  it.each<[Fault, RegExp]>([
    ['missing', /: HTTP 404$/],
    ['truncated', /: it ended after \d+ of \d+ bytes$/],
    ['tampered', /: its sha256 is [0-9a-f]{64}, the lock says [0-9a-f]{64}$/],
  ])('a package that is %s', async (fault, reason) => {
    archive.server.faults.set(archive.path('adduser'), fault)
    const { error } = refusal(await build())
    expect(error).toMatch(/^Package adduser \S+ cannot be downloaded as locked: /)
    expect(error).toMatch(reason)
    expect(await readdir(root)).not.toContain('out')
  })
})
