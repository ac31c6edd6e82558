import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Manifest } from '../../src/build/manifest.ts'
import { inventorySchema } from '../../src/evidence/inventory.ts'
import { sha256File } from '../../src/store/digest.ts'
import { compareDisks, describeDifferences, readDisk } from '../support/build/compare-disks.ts'
import {
  copyCache,
  copyProject,
  readManifest,
  removeFolder,
  testFolder,
  usersCache,
  warmUp,
} from '../support/builds.ts'
import { runElsewhere } from '../support/elsewhere.ts'
import { spdxTools } from '../support/evidence/spdx-tools.ts'
import { type OtherUser, otherUser } from '../support/other-user.ts'
import { published } from '../support/schemas.ts'
import { checkout, seeder } from '../support/seeder.ts'

/** Real builds of the HAProxy image from its lock. */
const root = await testFolder('builds')
let reference: Manifest
let other: OtherUser | undefined
const out = join(root, 'first')

beforeAll(async () => {
  await chmod(root, 0o755)
  other = await otherUser()
  reference = await warmUp(out)
})
afterAll(async () => {
  await removeFolder(root)
  await other?.remove()
})

/** The raw disk of a build. */
async function rawDisk(folder: string, name: string): Promise<string> {
  const raw = join(root, `${name}.raw`)
  const { qcow2 } = await readManifest(folder)
  await execa('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', join(folder, qcow2.file), raw])
  return raw
}

/** The newest tools tree of the user's cache. */
async function toolsTree(): Promise<string> {
  const layers = join(usersCache, 'seeder', 'layers')
  const trees = (await readdir(layers)).filter((name) => name.startsWith('tools-'))
  const times = await Promise.all(trees.map(async (name) => (await stat(join(layers, name))).mtimeMs))
  return join(layers, trees[times.indexOf(Math.max(...times))] ?? '', 'content')
}

/** The differences of two builds, for the message of a test that fails. */
async function differences(first: string, second: string): Promise<string> {
  const scratch = join(root, 'extracted')
  await mkdir(scratch)
  const [a, b] = [await rawDisk(first, 'a'), await rawDisk(second, 'b')]
  try {
    return describeDifferences(await compareDisks(a, b, await toolsTree(), scratch))
  } finally {
    await removeFolder(scratch)
    for (const file of [a, b]) await rm(file)
  }
}

describe('the output', () => {
  it('is the disk, its manifest, its evidence and the files for a host, all intact', async () => {
    const kinds = ['manifest', 'files', 'spdx', 'cdx', 'provenance', 'bundle'].map((kind) => `${kind}.json`)
    const names = ['qcow2', ...kinds].map((kind) => `haproxy-${reference.version}.${kind}`)
    expect((await readdir(out)).sort()).toEqual(['SHA256SUMS', 'template.conf', ...names].sort())
    await execa('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: out })
    const { code, stdout } = await seeder(['inspect', out])
    expect(code).toBe(0)
    expect(stdout).toContain('intact')
  })

  it('has a manifest with the image, its sources and the times of the build', async () => {
    const { stdout: commit } = await execa('git', ['-C', checkout, 'rev-parse', 'HEAD'])
    expect(reference).toMatchObject({
      image: 'haproxy',
      base: 'debian-trixie',
      roles: ['haproxy'],
      source: { commit },
    })
    expect(reference.version).toMatch(/^3\.\d+\.\d+-\d+$/)
    expect(reference.epoch).toBe(
      JSON.parse(await readFile(join(checkout, 'images/haproxy/image.lock.json'), 'utf8')).epoch,
    )
    for (const digest of [reference.usr.roothash, reference.lock.sha256])
      expect(digest).toMatch(/^[0-9a-f]{64}$/)
    expect(Object.values(reference.timings).every((ms) => ms >= 0)).toBe(true)
    expect(Object.keys(reference.packages)).toEqual(
      expect.arrayContaining(['haproxy', 'keepalived', 'cloud-init']),
    )
    expect(reference.kernel.commandLine).toContain(`usrhash=${reference.usr.roothash}`)
    const qcow2 = join(out, reference.qcow2.file)
    expect(reference.qcow2).toMatchObject({ sha256: await sha256File(qcow2), size: (await stat(qcow2)).size })
  })

  it('has files that match their published schemas', async () => {
    for (const kind of ['manifest', 'files', 'provenance']) {
      const text = await readFile(join(out, `haproxy-${reference.version}.${kind}.json`), 'utf8')
      await published(kind, JSON.parse(text))
    }
    const { stdout } = await seeder(['inspect', out, '--json'])
    expect(await published('printed/inspect', JSON.parse(stdout))).toMatchObject({
      intact: true,
      damaged: [],
    })
  })

  it('unpacks to exactly the disk that the manifest names', async () => {
    const raw = await rawDisk(out, 'unpacked')
    expect({ sha256: await sha256File(raw), size: (await stat(raw)).size }).toEqual(reference.raw)
    await rm(raw)
  })

  it('has a list of all files on the disk, each with an owner that the bill of materials names', async () => {
    const raw = await rawDisk(out, 'walked')
    const scratch = join(root, 'walked')
    await mkdir(scratch)
    const partitions = await readDisk(raw, await toolsTree(), scratch)
    for (const folder of [raw, scratch]) await removeFolder(folder)
    const read = async (kind: string) =>
      JSON.parse(await readFile(join(out, `haproxy-${reference.version}.${kind}.json`), 'utf8'))
    const inventory = inventorySchema.parse(await read('files'))
    const listed = new Map(inventory.files.map((file) => [file.path, file]))
    const named = new Set(
      (await read('cdx')).components.map((component: { 'bom-ref': string }) => component['bom-ref']),
    )
    const unnamed: string[] = []
    let walked = 0
    for (const [partition, prefix] of [
      ['usr', '/usr'],
      ['root', ''],
    ] as const) {
      for (const [path, [kind, mode, , , size, target, content]] of partitions.get(partition) ?? []) {
        if (kind === 'd') continue
        walked++
        const entry = listed.get(`${prefix}${path}`)
        if (!entry?.owner || !named.has(entry.owner)) unnamed.push(`${prefix}${path}`)
        expect([path, entry?.mode, entry?.target ?? '']).toEqual([path, mode?.padStart(4, '0'), target])
        if (kind === 'f') expect([path, entry?.size, entry?.sha256]).toEqual([path, Number(size), content])
      }
    }
    console.log(`${walked} files of ${named.size} components walked, ${unnamed.length} without an owner`)
    expect(unnamed).toEqual([])
    expect(walked).toBe(reference.files.total)
    // The boot image is a component of its own.
    const uki = partitions.get('esp')?.get('/EFI/BOOT/BOOTX64.EFI')
    expect(uki?.at(-1)).toBe(reference.uki.sha256)
    expect(JSON.stringify(await read('spdx'))).toContain(reference.uki.sha256)
  })

  it('has bills of materials and a provenance that `verify` accepts for this disk', async () => {
    const { code, stdout } = await seeder(['verify', out, '--allow-unsigned', '--json'])
    expect(code).toBe(0)
    const findings: { what: string; result: string }[] = JSON.parse(stdout)
    const contents = findings.filter(({ what }) => what.startsWith('content of haproxy-'))
    expect(contents.map(({ result }) => result)).toEqual(Array(5).fill('right'))
  })

  it('has a bill of materials that SPDX’s own tools accept', async () => {
    const tools = await spdxTools()
    const text = await readFile(join(out, `haproxy-${reference.version}.spdx.json`), 'utf8')
    const complaints = await tools.complaints(text).finally(() => tools.remove())
    expect(complaints).toEqual([])
    expect(JSON.parse(text).packages.length).toBeGreaterThan(Object.keys(reference.packages).length)
  })
})

describe('a bundle of it', () => {
  const bundle = join(root, 'a bundle.tar')
  const there = join(root, 'from the bundle')

  /** Runs a program without a network, not even loopback, and with an empty cache. */
  async function offline(argv: readonly string[]) {
    const env = { XDG_CACHE_HOME: join(there, 'cache') }
    const words = ['--net', '--', process.execPath, ...argv]
    return execa('unshare', words, { env, cwd: there, reject: false, all: true })
  }

  beforeAll(async () => {
    await mkdir(there)
    const { code, stdout } = await seeder(['bundle', out, '--out', bundle, '--json'])
    expect(code).toBe(0)
    await published('bundle', JSON.parse(stdout))
  })

  it('is enough to build the same disk without a network, with the program in the bundle', async () => {
    await execa('tar', ['-xf', bundle, '-C', there, 'seeder'])
    const again = join(there, 'again')
    const program = join(there, 'seeder/dist/cli/index.js')
    const { exitCode, all } = await offline([program, 'build', '--from-bundle', bundle, '--out', again])
    expect(exitCode, all).toBe(0)
    const manifest = await readManifest(again)
    expect(manifest).toMatchObject({ raw: reference.raw, qcow2: reference.qcow2, source: reference.source })
    expect(manifest.made.sort()).toEqual(['initrd', 'rootfs', 'tools', 'usr'])
    // The list of the bundle is the same, so that a bundle of this build would be the same bundle.
    const list = `haproxy-${manifest.version}.bundle.json`
    expect(await readFile(join(again, list), 'utf8')).toBe(await readFile(join(out, list), 'utf8'))
    expect(await readdir(join(there, 'cache/seeder/work'))).toEqual([])
  })

  it('is not written without its files, and cannot be built with the name of an image', async () => {
    const env = { XDG_CACHE_HOME: join(root, 'empty cache') }
    const { code, stderr } = await seeder(['bundle', out, '--out', join(root, 'no.tar')], { env })
    expect(stderr).toContain('is not in the package store')
    expect(code).toBe(1)
    const named = await seeder(['build', 'haproxy', '--from-bundle', bundle, '--out', join(root, 'no')])
    expect(named).toMatchObject({ code: 2, stderr: expect.stringContaining('the bundle determines') })
  })
})

/**
 * As another user, from another checkout with other modes and times, two builds at once in one cache without layers, of
 * which one does not use layers: the image must be the same.
 */
describe('the same lock gives the same image', () => {
  const cache = join(root, 'other cache')
  const there = join(root, 'elsewhere')
  const outputs = [join(there, 'output one'), join(there, 'output two')]

  async function buildElsewhere(output: string, umask: string, env: Record<string, string>, argv: string[]) {
    const place = { there, cache, project: join(there, 'project'), umask, env }
    await runElsewhere(other, place, ['build', 'haproxy', '--out', output, ...argv])
    return readManifest(output)
  }

  let built: Manifest[]
  beforeAll(async () => {
    await mkdir(there)
    const project = await copyProject(join(there, 'project'))
    await execa('find', [project, '-type', 'f', '-exec', 'touch', '-d', '2001-02-03', '{}', '+'])
    await execa('chmod', ['-R', 'go-rwx', project])
    // Copied, because another user may not link to the files.
    await mkdir(join(cache, 'seeder'), { recursive: true })
    const linked = await copyCache(join(root, 'linked cache'))
    await execa('cp', ['-r', join(linked, 'seeder', 'store'), join(cache, 'seeder', 'store')])
    if (other && other.name !== 'root') await execa('chown', ['-R', `${other.name}:`, there, cache])
    built = await Promise.all([
      buildElsewhere(outputs[0] ?? '', '077', { TZ: 'Asia/Tokyo', LANG: 'de_DE.UTF-8' }, []),
      buildElsewhere(outputs[1] ?? '', '002', { TZ: 'America/New_York', LANG: 'C' }, ['--no-cache']),
    ])
  })

  it('for another user, with an empty cache, in other folders, time zones, umasks and languages', async () => {
    for (const [index, manifest] of built.entries()) {
      if (manifest.raw.sha256 !== reference.raw.sha256) {
        expect.fail(`the disks differ:\n${await differences(out, outputs[index] ?? '')}`)
      }
      expect(manifest.qcow2).toEqual(reference.qcow2)
      expect(manifest.lock).toEqual(reference.lock)
      for (const kind of ['files', 'spdx', 'cdx']) {
        const name = `haproxy-${manifest.version}.${kind}.json`
        expect(await readFile(join(outputs[index] ?? '', name))).toEqual(await readFile(join(out, name)))
      }
    }
  })

  it('whether its layers are made again, by another build, or found in the cache', async () => {
    expect(built[1]?.made.sort()).toEqual(['initrd', 'rootfs', 'tools', 'usr'])
    const warm = await warmUp(out)
    expect(warm.made).toEqual([])
    expect(warm.raw).toEqual(reference.raw)
    expect(warm.qcow2).toEqual(reference.qcow2)
  })

  it('and leaves nothing in the work folder', async () => {
    expect(await readdir(join(cache, 'seeder', 'work'))).toEqual([])
  })
})

describe('after an edit', () => {
  let project: string
  let cache: string
  const edited = join(root, 'edited')

  beforeAll(async () => {
    project = await copyProject(join(root, 'edited project'))
    cache = await copyCache(join(root, 'edited cache'), true)
  })

  async function rebuild(path: string, text: string): Promise<Manifest> {
    await mkdir(join(project, 'images/haproxy/tree', path, '..'), { recursive: true })
    await writeFile(join(project, 'images/haproxy/tree', path), text)
    const ended = await seeder(['-C', project, 'build', 'haproxy', '--out', edited], {
      env: { XDG_CACHE_HOME: cache },
    })
    expect(ended).toMatchObject({ code: 0 })
    return readManifest(edited)
  }

  it('of a file outside /usr no layer is made again, and the comparison names the file', async () => {
    const manifest = await rebuild('etc/haproxy/zz-edited.cfg', '# edited\n')
    expect(manifest.made).toEqual([])
    expect(manifest.usr).toEqual(reference.usr)
    expect(manifest.raw.sha256).not.toBe(reference.raw.sha256)
    // The digest of the list of the root file system's files is on the kernel's command line.
    expect((await differences(out, edited)).split('\n')).toEqual([
      'esp: /EFI/BOOT/BOOTX64.EFI: content',
      'root: /etc/haproxy/zz-edited.cfg: only in the second',
    ])
    await rm(join(project, 'images/haproxy/tree/etc/haproxy/zz-edited.cfg'))
  })

  it('of a file below /usr neither the packages nor the initrd are made again, and the comparison names the file', async () => {
    const text = await readFile(join(project, 'images/haproxy/tree/usr/lib/seeder/role'), 'utf8')
    const manifest = await rebuild('usr/lib/seeder/role', `${text}# ${root}\n`)
    expect(manifest.made).toEqual(['usr'])
    expect(manifest.usr.roothash).not.toBe(reference.usr.roothash)
    const found = (await differences(out, edited)).split('\n')
    expect(found).toContainEqual(expect.stringMatching(/^usr: \/lib\/seeder\/role: .*content/))
    // The root hash of /usr is on the kernel's command line.
    expect(found).toContainEqual('esp: /EFI/BOOT/BOOTX64.EFI: content')
    expect(found.filter((line) => line.startsWith('root:'))).toEqual([])
  })
})
