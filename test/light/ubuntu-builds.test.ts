import { chmod, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/build/manifest.ts'
import { guestPrograms } from '../support/build/guest-programs.ts'
import { copyCache, readManifest, removeFolder, testFolder } from '../support/builds.ts'
import { runElsewhere } from '../support/elsewhere.ts'
import { spdxTools } from '../support/evidence/spdx-tools.ts'
import { type OtherUser, otherUser } from '../support/other-user.ts'
import { seeder } from '../support/seeder.ts'
import { createUbuntuArchive, type UbuntuArchive } from '../support/ubuntu/archive.ts'
import { ubuntuProject } from '../support/ubuntu/project.ts'

/** Real builds of the images on Ubuntu, from a local archive in Ubuntu's form, made of Debian's next release. */
const root = await testFolder('ubuntu')
const project = join(root, 'project')
let archive: UbuntuArchive
let other: OtherUser | undefined

beforeAll(async () => {
  await chmod(root, 0o755)
  other = await otherUser()
  archive = await createUbuntuArchive(['haproxy', 'etcd', 'kubernetes-node'], { release: 'forky' })
  await ubuntuProject(project, archive)
})
afterAll(async () => {
  await archive?.close()
  await removeFolder(root)
  await other?.remove()
})

/** Runs seeder on the project, which has to succeed. */
async function run(...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await seeder(['-C', project, ...argv], { env: { ...archive.env } })
  expect(code, stderr).toBe(0)
  return stdout
}

/** The paths of an image's files. */
async function pathsIn(out: string): Promise<ReadonlySet<string>> {
  const name = (await readdir(out)).find((file) => file.endsWith('.files.json')) ?? ''
  const { files } = JSON.parse(await readFile(join(out, name), 'utf8'))
  return new Set(files.map(({ path }: { path: string }) => path))
}

/** The programs that the scripts of an image call and that it does not have. */
async function missingPrograms(image: string, paths: ReadonlySet<string>): Promise<string[]> {
  const exists = (word: string) =>
    word.startsWith('/')
      ? paths.has(word)
      : ['bin', 'sbin'].some((folder) => paths.has(`/usr/${folder}/${word}`))
  return (await guestPrograms(image)).filter((word) => !exists(word))
}

async function build(image: string, out: string, ...options: readonly string[]): Promise<Manifest> {
  await run('lock', image, ...options)
  await run('build', image, '--out', out, ...options)
  return readManifest(out)
}

const expected = {
  etcd: { version: '3.7.3-1', roles: ['etcd'], artifacts: { etcd: { version: '3.7.3' } } },
  'kubernetes-node': {
    version: '1.37.2-1',
    roles: ['worker', 'control-plane'],
    packages: { kubelet: '1.37.2-1.1', kubeadm: '1.37.2-1.1', kubectl: '1.37.2-1.1' },
  },
}

describe.each(Object.entries(expected))('%s', (image, facts) => {
  const out = join(root, image)
  let first: Manifest

  beforeAll(async () => {
    first = await build(image, out)
  })

  it('leaves the same intact files as any image, and every file of the disk has an owner', async () => {
    expect(first).toMatchObject({ image, base: 'ubuntu-resolute', ...facts })
    const { version } = first
    const names = [
      'SHA256SUMS',
      'template.conf',
      `${image}-${version}.qcow2`,
      ...['manifest', 'files', 'spdx', 'cdx', 'provenance', 'bundle'].map(
        (kind) => `${image}-${version}.${kind}.json`,
      ),
    ]
    expect((await readdir(out)).sort()).toEqual(names.sort())
    await execa('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: out })
    expect(first.files.unowned).toEqual([])
    expect(await readFile(join(out, 'template.conf'), 'utf8')).toContain(`ROLES=${facts.roles.join(',')}\n`)
  })

  it('has every program that its scripts call, and Python’s byte code', async () => {
    const paths = await pathsIn(out)
    expect(await missingPrograms(image, paths)).toEqual([])
    const codec = [...paths].filter((path) => /^\/usr\/lib\/python3\.\d+\/encodings\/utf_8\.py$/.test(path))
    expect(codec).toHaveLength(1)
    const [, minor = ''] = /python3\.(\d+)/.exec(codec[0] ?? '') ?? []
    expect(paths).toContain(`/usr/lib/python3.${minor}/encodings/__pycache__/utf_8.cpython-3${minor}.pyc`)
    const cloudInit = '/usr/lib/python3/dist-packages/cloudinit/__pycache__/subp'
    expect(paths).toContain(`${cloudInit}.cpython-3${minor}.pyc`)
  })

  it('has no drivers that no virtual machine needs, and those that it does', async () => {
    const modules = [...(await pathsIn(out))].filter((path) => path.includes('/kernel/'))
    const has = (part: string) => modules.some((path) => path.includes(part))
    const without = ['/sound/', '/net/wireless/', '/gpu/drm/amd/', '/usb/gadget/', '/media/']
    expect(without.filter(has)).toEqual([])
    const needed = ['virtio_net.ko', 'isofs.ko', 'nvme.ko', 'igb.ko', 'nf_tables.ko', 'wireguard.ko']
    expect(needed.filter((part) => !has(part))).toEqual([])
  })

  it('has a bill of materials that SPDX’s own tools accept', async () => {
    const written = await readFile(join(out, `${image}-${first.version}.spdx.json`), 'utf8')
    // The tools refuse URLs without a host name, such as those of the local archive.
    const text = written.replaceAll(/http:\/\/127\.0\.0\.1:\d+\//g, 'https://archive.example/')
    const tools = await spdxTools()
    expect(await tools.complaints(text).finally(() => tools.remove())).toEqual([])
    expect(JSON.parse(text).packages.length).toBeGreaterThan(Object.keys(first.packages).length)
  })

  it('is the same for another user, without layers, in another folder', async () => {
    const there = join(root, `elsewhere ${image}`)
    const cache = join(root, `cache ${image}`)
    await mkdir(there)
    await execa('cp', ['-r', project, join(there, 'project')])
    // Copied, because another user may not link to the files.
    await mkdir(join(cache, 'seeder'), { recursive: true })
    const linked = await copyCache(join(root, `linked ${image}`))
    await execa('cp', ['-r', join(linked, 'seeder', 'store'), join(cache, 'seeder', 'store')])
    if (other && other.name !== 'root') await execa('chown', ['-R', `${other.name}:`, there, cache])
    const place = {
      there,
      cache,
      project: join(there, 'project'),
      umask: '077',
      env: { TZ: 'Asia/Tokyo', ...archive.env },
    }
    await runElsewhere(other, place, ['build', image, '--out', join(there, 'out'), '--no-cache'])
    const second = await readManifest(join(there, 'out'))
    expect(second.made.sort()).toEqual(['initrd', 'rootfs', 'tools', 'usr'])
    expect({ raw: second.raw, qcow2: second.qcow2 }).toEqual({ raw: first.raw, qcow2: first.qcow2 })
    for (const folder of [there, cache]) await removeFolder(folder)
  })
})

describe('every image on either base', () => {
  it('haproxy is built on Ubuntu', async () => {
    const manifest = await build('haproxy', join(root, 'haproxy'), '--base', 'ubuntu-resolute')
    expect(manifest).toMatchObject({ image: 'haproxy', base: 'ubuntu-resolute' })
    expect(await missingPrograms('haproxy', await pathsIn(join(root, 'haproxy')))).toEqual([])
  })

  it('etcd is built on Debian, and in its older line', async () => {
    const manifest = await build('etcd', join(root, 'older'), '--base', 'debian-trixie', '--line', '3.6')
    expect(manifest).toMatchObject({ image: 'etcd', base: 'debian-trixie', version: '3.6.16-1' })
    expect(await readdir(join(project, 'images/etcd'))).toContain('image.debian-trixie.3.6.lock.json')
  })

  it('kubernetes-node is refused where containerd is too old for it', async () => {
    const argv = ['-C', project, 'lock', 'kubernetes-node', '--base', 'debian-trixie']
    const { code, stderr } = await seeder(argv, { env: { ...archive.env } })
    expect(code).toBe(1)
    expect(stderr).toMatch(/kubernetes-node requires containerd 2\.0 or newer; debian-trixie has 1\.7\./)
  })
})

describe('a build stops', () => {
  it('at a private key among the CA certificates', async () => {
    const { stdout: key } = await execa('openssl', ['genpkey', '-algorithm', 'ed25519'])
    const file = join(project, 'images/etcd/trust/ca.key')
    await execa('tee', [file], { input: key })
    const out = join(root, 'never')
    const { code, stderr } = await seeder(['-C', project, 'build', 'etcd', '--out', out], {
      env: { ...archive.env },
    })
    await rm(file)
    expect(code).toBe(1)
    expect(stderr).toContain(`${file} has a private key in it`)
    expect(await readdir(root)).not.toContain('never')
  })

  it('when upstream’s file is no longer the locked one', async () => {
    const lock = JSON.parse(await readFile(join(project, 'images/etcd/image.lock.json'), 'utf8'))
    const path = 'etcd/v3.7.3/etcd-v3.7.3-linux-amd64.tar.gz'
    archive.server.faults.set(path, 'tampered')
    // The store of the user has the right file.
    const cache = await copyCache(join(root, 'without the tarball'))
    const [{ sha256 }] = lock.artifacts
    await rm(join(cache, 'seeder/store', sha256.slice(0, 2), sha256))
    const argv = ['-C', project, 'build', 'etcd', '--out', join(root, 'never')]
    const { code, stderr } = await seeder(argv, { env: { ...archive.env, XDG_CACHE_HOME: cache } })
    archive.server.faults.delete(path)
    expect(code).toBe(1)
    expect(stderr).toMatch(
      new RegExp(`Artifact etcd 3\\.7\\.3 cannot be downloaded as locked: .*the lock says ${sha256}`),
    )
  })
})
