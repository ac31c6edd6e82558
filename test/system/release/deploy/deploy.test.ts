import { chmod, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import type { HostResult, PveHost } from '../../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../../support/builds.ts'
import { configsOf, deployScript, startHost, tagged } from '../../../support/deploy/host.ts'
import { makeSigner, type Signer, type SmallImage, sign } from '../../../support/deploy/image.ts'
import { seederOnHost } from '../../../support/release/on-host.ts'
import { type Seed, seedImage } from '../../../support/release/seed.ts'
import { makeTestedBuild, reportOf, tamper, writeReport } from '../../../support/release/tested-build.ts'
import { published } from '../../../support/schemas.ts'

/** `seeder deploy` and `seeder status` on a stand-in host, with releases of the local GitHub. */
const root = await testFolder('deploy release')
let images: SmallImage[]
let signer: Signer
let host: PveHost
let github: LocalGitHub
/** Earlier requests do not count. */
let since = 0
let count = 0
let cache: string

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1', '3.0.13-1'].map((version) =>
      makeTestedBuild(join(root, version), null, { version }),
    ),
  )
  signer = await makeSigner(join(root, 'keys'))
  for (const { folder } of images.slice(0, 2)) await sign(folder, signer)
})
afterAll(() => rm(root, { recursive: true, force: true }))

beforeEach(async () => {
  since = 0
  github = await LocalGitHub.start({ immutable: true })
  host = await startHost(join(root, `host-${count}`))
  cache = join(root, `cache-${count++}`)
  await policy('STORAGE=local', 'SMOKE=0')
  await host.run(['sh', '-c', 'cat > /etc/seeder/allowed_signers'], { input: signer.allowed })
})
afterEach(async () => {
  await host.remove()
  await github.stop()
})

const policy = (...lines: string[]) =>
  host.run(['sh', '-c', 'cat > /etc/seeder/deploy.conf'], { input: `${lines.join('\n')}\n` })

function seeder(argv: readonly string[], prefix?: readonly string[]): Promise<HostResult> {
  const env = {
    GITHUB_API_URL: github.apiUrl,
    GITHUB_REPOSITORY: github.repository,
    // It may write: drafts are in its list.
    GITHUB_TOKEN: github.token({ contents: 'write' }),
    XDG_CACHE_HOME: cache,
  }
  return seederOnHost(host, argv, env, prefix)
}

const seed = (index: number, options?: Seed) => {
  const image = images[index]
  if (!image) throw new Error('there is no such image')
  return seedImage(github, image, { partSize: 300_000, ...options })
}

const disks = () =>
  github.requests.slice(since).filter(({ on, path }) => on === 'download' && /qcow2/.test(path))
const downloads = () => readdir(join(cache, 'seeder/releases/operator/platform')).catch(() => [])

describe('seeder deploy', () => {
  it('makes a template of the promoted release, then leaves it alone, and cleans up', async () => {
    await seed(0)
    await seed(1, { prerelease: true })
    const first = await seeder(['deploy', 'haproxy', '--json'])
    expect(first.stderr).toContain('signed by release@example.internal')
    expect(first.stderr).toContain('haproxy 3.0.11-1 is template 9000')
    expect(await published('printed/deploy', JSON.parse(first.stdout))).toEqual({
      image: 'haproxy',
      version: '3.0.11-1',
      vmid: 9000,
      changed: true,
      before: null,
      host: 'pve1',
    })
    expect(await tagged(host, 'current')).toEqual([9000])
    expect(await downloads()).toEqual(['.haproxy-3.0.11-1.lock'])
    const again = await seeder(['deploy', 'haproxy', '3.0.11-1'])
    expect(again.stdout).toBe('haproxy 3.0.11-1 is deployed already: template 9000 on pve1\n')
    const candidate = await seeder(['deploy', 'haproxy', 'candidate', '--keep-download', '--json'])
    expect(JSON.parse(candidate.stdout)).toMatchObject({ version: '3.0.12-1', vmid: 9001, before: 9000 })
    expect(await downloads()).toEqual([
      '.haproxy-3.0.11-1.lock',
      '.haproxy-3.0.12-1.lock',
      'haproxy-3.0.12-1',
    ])
  })

  it('plans without changing anything', async () => {
    await seed(0)
    const { code, stdout, stderr } = await seeder(['deploy', 'haproxy', '--dry-run', '--json'])
    expect([code, await published('printed/deploy', JSON.parse(stdout))]).toEqual([
      0,
      { image: 'haproxy', version: '3.0.11-1', vmid: null, changed: true, before: null, host: 'pve1' },
    ])
    expect(stderr).toContain('qm create 9000')
    expect([...(await configsOf(host)).keys()]).toEqual([])
  })

  it('refuses a draft, a candidate that was not requested, and a missing release', async () => {
    await seed(0, { draft: true })
    await seed(1, { prerelease: true })
    const cases: [string[], string, string][] = [
      [['3.0.11-1'], 'the release haproxy-3.0.11-1 of operator/platform is a draft', 'seeder publish'],
      [[], 'no release of haproxy in operator/platform is promoted', 'seeder promote haproxy-3.0.12-1'],
      [['9.9.9-1'], 'operator/platform has no release haproxy-9.9.9-1', '3.0.12-1'],
      [['latest'], 'latest is not a version of haproxy', 'promoted'],
    ]
    for (const [which, message, fix] of cases) {
      const { code, stderr } = await seeder(['--quiet', 'deploy', 'haproxy', ...which])
      expect(code).toBeGreaterThan(0)
      expect(stderr).toContain(`seeder: ${message}`)
      expect(stderr).toContain(fix)
    }
    expect(disks()).toEqual([])
  })

  it('refuses an image without a signature or by another signer, before its disk is downloaded', async () => {
    await seed(2)
    const unsigned = await seeder(['--quiet', 'deploy', 'haproxy'])
    expect(unsigned.stderr).toContain('haproxy 3.0.13-1 is not signed, and this host takes signed images')
    const other = await makeSigner(join(root, 'keys'), 'other@example.internal')
    await host.run(['sh', '-c', 'cat > /etc/seeder/allowed_signers'], { input: other.allowed })
    await seed(0)
    const foreign = await seeder(['--quiet', 'deploy', 'haproxy', '3.0.11-1'])
    expect(foreign.stderr).toContain('SHA256SUMS is signed by nobody in /etc/seeder/allowed_signers')
    expect(unsigned.stderr).toContain('raise the revision, and publish that with a key')
    expect([unsigned.code, foreign.code, disks()]).toEqual([1, 1, []])
  })

  it('refuses a full release that did not pass its test, before its disk is downloaded', async () => {
    const [{ folder, manifest }] = images as [SmallImage]
    await writeReport(folder, { ...reportOf(manifest), passed: false })
    try {
      await seed(0)
    } finally {
      await writeReport(folder, reportOf(manifest))
    }
    const red = await seeder(['--quiet', 'deploy', 'haproxy'])
    expect(red.stderr).toContain('seeder: haproxy 3.0.11-1 did not pass its test')
    await seed(1, { twist: (contents) => ({ ...contents, raw: { sha256: '0'.repeat(64) } }) })
    const other = await seeder(['--quiet', 'deploy', 'haproxy', '3.0.12-1'])
    expect(other.stderr).toContain('release.json is about another disk')
    expect([red.code, other.code, disks()]).toEqual([1, 1, []])
  })

  it('succeeds also when the download cannot be removed, and names its folder', async () => {
    await seed(0)
    const script = join(root, 'holding.sh')
    // A file that something is mounted on cannot be removed, not even by root.
    const hold = 'for last; do :; done; exec mount --bind "$last/template.conf" "$last/template.conf"'
    await writeFile(script, `#!/bin/sh\n'${deployScript}' "$@" || exit\n${hold}\n`, { mode: 0o755 })
    const { code, stdout, stderr } = await seeder(['deploy', 'haproxy', '--deploy-script', script])
    expect([code, stdout], stderr).toEqual([0, 'haproxy 3.0.11-1 is template 9000 on pve1\n'])
    expect(stderr).toMatch(/the download could not be removed, and stays in .*haproxy-3\.0\.11-1: EBUSY/)
  })

  it('shows the output of a failed deploy.sh, keeps the download, and continues from it', async () => {
    await seed(0)
    await host.faults.set({
      kind: 'fail',
      when: 'before',
      at: 1,
      match: '^qm template',
      status: 255,
      stderr: 'no',
    })
    const failed = await seeder(['deploy', 'haproxy'])
    expect(failed.code).toBe(1)
    expect(failed.stderr).toMatch(/^seeder: deploy: .*\n {2}→ /m)
    expect([...(await configsOf(host)).keys()]).toEqual([])
    since = github.requests.length
    await host.faults.clear()
    const again = await seeder(['deploy', 'haproxy'])
    expect(again.stdout).toBe('haproxy 3.0.11-1 is template 9000 on pve1\n')
    expect(disks()).toEqual([])
  })
})

/** With the real sudo and the rule of runner.sh; who has no root on this machine has no sudo in his namespaces either. */
describe.skipIf(process.getuid?.() !== 0)('without root', () => {
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']
  const install = `
    mount -t tmpfs -o mode=755 tmpfs /usr/local/lib
    mkdir /usr/local/lib/seeder
    install -m 755 "$2" /usr/local/lib/seeder/deploy.sh
    echo 'nobody ALL=(root:root) NOPASSWD:NOSETENV: /usr/local/lib/seeder/deploy.sh' >/etc/sudoers.d/seeder
    chmod 440 /etc/sudoers.d/seeder
    mkdir -m 777 "$1"`

  beforeEach(async () => {
    await chmod(root, 0o755)
    const { code, stderr } = await host.run(['sh', '-euc', install, '-', cache, deployScript])
    if (code !== 0) throw new Error(stderr)
  })

  it('deploys through sudo, to the storage of the policy', async () => {
    await seed(0)
    const { code, stdout, stderr } = await seeder(['deploy', 'haproxy', '--storage', 'local'], nobody)
    expect([code, stdout], stderr).toEqual([0, 'haproxy 3.0.11-1 is template 9000 on pve1\n'])
    expect(await downloads()).toEqual(['.haproxy-3.0.11-1.lock'])
  })

  it('refuses a storage that the policy does not name, before any request', async () => {
    const { code, stderr } = await seeder(['deploy', 'haproxy', '--storage', 'local-lvm'], nobody)
    expect(code).toBe(2)
    expect(stderr).toContain(
      'the storage local-lvm was requested; through sudo deploy.sh takes it from /etc/seeder/deploy.conf, which names local',
    )
    expect(github.requests).toEqual([])
  })

  it('reports that sudo does not allow it, before any request', async () => {
    const { code, stderr } = await seeder(['deploy', 'haproxy', '--deploy-script', deployScript], nobody)
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('seeder: deploy.sh could not be started: sudo: '),
    ])
    expect(stderr).toContain('scripts/runner.sh')
    expect(github.requests).toEqual([])
  })
})

describe('seeder status', () => {
  it('shows candidate, promoted, deployed, clones, and who is behind', async () => {
    await seed(0)
    await seeder(['deploy', 'haproxy'])
    await host.run(['qm', 'clone', '9000', '200', '--name', 'lb1'])
    await seed(1)
    await seed(2, { prerelease: true })
    const report = await seeder(['status', '--host-only'])
    expect(await published('printed/host-report', JSON.parse(report.stdout))).toMatchObject({
      host: 'pve1',
      templates: [{ image: 'haproxy', version: '3.0.11-1', vmid: 9000, clones: [{ vmid: 200, name: null }] }],
    })
    const file = join(cache, 'pve2.json')
    await writeFile(file, report.stdout.replaceAll('pve1', 'pve2'))
    const json = await seeder(['status', '--host-report', file, '--json'])
    expect(await published('printed/status', JSON.parse(json.stdout))).toMatchObject({
      rows: [{ host: 'pve1', behind: { by: ['3.0.12-1'], ahead: false } }, { host: 'pve2' }],
    })
    const { code, stdout } = await seeder(['status', '--host-report', file])
    expect([code, stdout.split('\n')]).toEqual([
      0,
      [
        'image    candidate  promoted  host  deployed         clones         behind',
        '-------  ---------  --------  ----  ---------------  -------------  --------------------',
        'haproxy  3.0.13-1   3.0.12-1  pve1  3.0.11-1 (9000)  3.0.11-1: 200  1 version (3.0.12-1)',
        'haproxy  3.0.13-1   3.0.12-1  pve2  3.0.11-1 (9000)  3.0.11-1: 200  1 version (3.0.12-1)',
        '',
      ],
    ])
    const markdown = await seeder(['status', '--markdown'])
    expect(markdown.stdout).toContain('| haproxy | 3.0.13-1 | 3.0.12-1 | pve1 | 3.0.11-1 (9000) |')
  })
})

describe('seeder verify', () => {
  it('reports what was checked of a folder, and what is wrong', async () => {
    const [image] = images
    const folder = image?.folder ?? ''
    const allowed = join(root, 'allowed')
    await writeFile(allowed, signer.allowed)
    const good = await seeder(['verify', folder, '--allowed-signers', allowed])
    expect(good.code).toBe(0)
    expect(good.stdout).toMatch(/^signature +right +by release@example\.internal$/m)
    expect(good.stdout).toMatch(/^test-report\.json +right +2 passed$/m)
    expect(good.stdout).toMatch(/^content of the disk +not checked/m)
    const unknown = await seeder(['verify', folder])
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('--allowed-signers')])
    await tamper(join(folder, 'haproxy-3.0.11-1.qcow2'))
    try {
      const bad = await seeder(['verify', folder, '--allow-unsigned', '--json'])
      expect(bad.code).toBe(1)
      const findings = await published('printed/verify', JSON.parse(bad.stdout))
      const wrong = findings.filter(({ result }: { result: string }) => result === 'wrong')
      expect(wrong.map(({ what }: { what: string }) => what)).toEqual(['haproxy-3.0.11-1.qcow2', 'qcow2'])
    } finally {
      await tamper(join(folder, 'haproxy-3.0.11-1.qcow2'))
    }
  })
})
