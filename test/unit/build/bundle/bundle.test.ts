import { chmod, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collectInputs } from '../../../../src/build/bundle/entries.ts'
import { type BundleList, formatBundleList, parseBundleList } from '../../../../src/build/bundle/format.ts'
import { openBundle } from '../../../../src/build/bundle/open.ts'
import { writeBundle } from '../../../../src/build/bundle/write.ts'
import { loadImage } from '../../../../src/image/definition.ts'
import { type Lock, readLock } from '../../../../src/image/lock.ts'
import { sha256File } from '../../../../src/store/digest.ts'
import { Store } from '../../../../src/store/store.ts'
import { copyProject, removeFolder, testFolder } from '../../../support/builds.ts'
import { sha256 } from '../../../support/deploy/image.ts'
import { checkout } from '../../../support/seeder.ts'

const root = await testFolder('bundle')
const cache = join(root, 'cache')
const file = join(root, 'one.tar')
const raw = { sha256: 'a'.repeat(64) }
let list: BundleList
let collect: (locked?: Partial<Lock>) => Promise<BundleList>
let project: string
let count = 0

/** The real definition of the HAProxy image, with three small files for its packages. */
beforeAll(async () => {
  project = await copyProject(join(root, 'project'))
  const image = await loadImage(project, 'haproxy')
  const small = (name: string): Lock['packages'][number] => ({
    name,
    version: '1',
    architecture: 'all',
    archive: 'debian',
    path: `pool/${name}.deb`,
    size: name.length,
    sha256: sha256(name),
  })
  for (const name of ['first', 'second', 'a tool']) {
    const folder = join(cache, 'store', sha256(name).slice(0, 2))
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, sha256(name)), name)
  }
  await mkdir(join(cache, 'work'))
  const lock = {
    ...(await readLock(image)),
    packages: [small('first'), small('second')],
    tools: [small('a tool'), small('first')],
  }
  collect = async (locked = {}) => {
    const store = new Store(join(cache, 'store'), join(cache, 'work'))
    const given = { ...lock, ...locked }
    const text = formatBundleList({
      schema: 1,
      image: 'haproxy',
      version: lock.version,
      base: image.base.name,
      epoch: lock.epoch,
      lock: { sha256: 'b'.repeat(64) },
      source: { commit: 'c'.repeat(40), dirty: false },
      raw,
      files: await collectInputs({ image, lock: given, project, checkout }, store),
    })
    return parseBundleList(Buffer.from(text))
  }
  list = await collect()
  await writeBundle(list, cache, file)
})
afterAll(() => removeFolder(root))

/** Opens a bundle with a cache of its own. */
async function open(bundle: string) {
  const own = join(root, `cache ${count++}`)
  const scratch = join(own, 'work')
  await mkdir(scratch, { recursive: true })
  return { ...(await openBundle(bundle, own, scratch)), store: join(own, 'store') }
}

/** The bundle after somebody changed what is in it. */
async function changed(change: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = join(root, `changed ${count++}`)
  await mkdir(folder)
  await execa('tar', ['-xf', file, '-C', folder])
  await change(folder)
  const bundle = `${folder}.tar`
  await execa('tar', ['-cf', bundle, '-C', folder, ...(await readdir(folder))])
  return bundle
}

describe('a bundle', () => {
  it('has the definitions of one image, the program, and every locked file once', async () => {
    const { stdout } = await execa('tar', ['-tf', file])
    const names = stdout.split('\n').filter((name) => !name.endsWith('/'))
    expect(names[0]).toBe('bundle.json')
    expect(names).toContain('project/images/haproxy/image.lock.json')
    expect(names).toContain('project/images/common/initrd/init.sh')
    expect(names.filter((name) => name.startsWith('project/images/etcd'))).toEqual([])
    expect(names).toContain('seeder/dist/cli/index.js')
    expect(names.filter((name) => name.startsWith('store/')).sort()).toEqual(
      ['first', 'second', 'a tool'].map((name) => `store/${sha256(name)}`).sort(),
    )
  })

  it('is the same file for the same parts', async () => {
    const again = join(root, 'again.tar')
    await execa('touch', ['-d', '2001-02-03', join(project, 'platform.yaml')])
    await writeBundle(await collect(), cache, again)
    expect(await sha256File(again)).toBe(await sha256File(file))
  })

  it('begins with its list, and can be written after the definitions changed', async () => {
    const { stdout } = await execa('tar', ['-xOf', file, 'bundle.json'], { stripFinalNewline: false })
    expect(stdout).toBe(list.text.toString())
    await writeFile(join(project, 'images/haproxy/README.md'), 'edited')
    expect((await collect()).text.equals(list.text)).toBe(false)
    await writeBundle(list, cache, join(root, 'later.tar'))
    expect(await sha256File(join(root, 'later.tar'))).toBe(await sha256File(file))
  })

  it('is unpacked to definitions, and to locked files in the package store', async () => {
    const { index, project, store } = await open(file)
    expect(index).toMatchObject({ image: 'haproxy', base: 'debian-trixie', raw })
    expect(index).not.toHaveProperty('line')
    expect((await loadImage(project, 'haproxy')).name).toBe('haproxy')
    const digest = sha256('second')
    expect(await readFile(join(store, digest.slice(0, 2), digest), 'utf8')).toBe('second')
  })

  it('is not written when a file is missing or damaged, and leaves nothing', async () => {
    const target = join(root, 'target')
    await mkdir(target)
    const stored = join(cache, 'store', sha256('second').slice(0, 2), sha256('second'))
    for (const spoil of [() => writeFile(stored, 'sEcond'), () => rm(stored)]) {
      await spoil()
      await expect(writeBundle(list, cache, join(target, 'b.tar'))).rejects.toThrow(
        'second 1 is not in the package store',
      )
    }
    await writeFile(stored, 'second')
    expect(await readdir(target)).toEqual([])
    expect(await readdir(join(cache, 'work'))).toEqual([])
  })

  it('replaces the files of a killed run', async () => {
    const target = join(root, 'killed')
    await mkdir(join(target, '.b.tar.partial', 'run-1-1-abcdef'), { recursive: true })
    await writeBundle(list, cache, join(target, 'b.tar'))
    expect(await readdir(target)).toEqual(['b.tar'])
  })
})

describe('the sources of a build', () => {
  it('are listed with execute bits, and names of locked files', () => {
    const files = new Map(list.index.files.map((one) => [one.path, one]))
    expect(files.get(`store/${sha256('second')}`)).toEqual({
      path: `store/${sha256('second')}`,
      name: 'second 1',
      size: 6,
      sha256: sha256('second'),
    })
    expect(files.get('project/images/common/tree/usr/lib/seeder/first-boot')?.executable).toBe(true)
    expect(files.get('project/platform.yaml')).not.toHaveProperty('executable')
  })

  it.each<[string, string, (path: string) => Promise<unknown>, string]>([
    [
      'a private key',
      'images/haproxy/notes/key.pem',
      (path) => execa('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', path]),
      'has a private key in it',
    ],
    ['a link', 'images/haproxy/notes/link', (path) => symlink('/etc/passwd', path), 'is neither a file'],
  ])('are refused with %s', async (_what, path, make, complaint) => {
    await mkdir(join(project, 'images/haproxy/notes'), { recursive: true })
    await make(join(project, path))
    await expect(collect()).rejects.toThrow(complaint)
    await rm(join(project, path))
  })

  it('include hidden files of trees, and no others', async () => {
    for (const path of ['images/haproxy/.image.yaml.swp', 'images/haproxy/tree/etc/.hidden']) {
      await writeFile(join(project, path), '')
    }
    const paths = (await collect()).index.files.map(({ path }) => path)
    expect(paths.filter((path) => path.includes('/.'))).toEqual(['project/images/haproxy/tree/etc/.hidden'])
  })
})

describe('a bundle that was changed is not used', () => {
  const stored = `store/${sha256('second')}`

  it.each<[string, (folder: string) => Promise<unknown>, string]>([
    ['a package', (folder) => writeFile(join(folder, stored), 'sEcond'), `${stored} has the sha256`],
    [
      'a definition',
      (folder) => writeFile(join(folder, 'project/platform.yaml'), ''),
      'project/platform.yaml has',
    ],
    [
      'the program',
      (folder) => writeFile(join(folder, 'seeder/package.json'), '{}'),
      'seeder/package.json has',
    ],
    [
      'what may be executed',
      (folder) => chmod(join(folder, 'project/platform.yaml'), 0o755),
      'project/platform.yaml is executable',
    ],
    [
      'a file too many',
      (folder) => writeFile(join(folder, 'project/images/haproxy/tree/x'), ''),
      'is not in its index',
    ],
    ['a file too few', (folder) => rm(join(folder, stored)), `${stored} is missing`],
    [
      'a link in the place of a file',
      async (folder) => {
        await rm(join(folder, stored))
        await symlink('/etc/passwd', join(folder, stored))
      },
      'is not in its index',
    ],
    ['no index', (folder) => rm(join(folder, 'bundle.json')), 'is no bundle'],
    ['an index that is none', (folder) => writeFile(join(folder, 'bundle.json'), '{}'), 'is no bundle'],
    [
      'an index that leads elsewhere',
      async (folder) => {
        const index = join(folder, 'bundle.json')
        await writeFile(
          index,
          (await readFile(index, 'utf8')).replace('"project/platform.yaml"', '"../platform.yaml"'),
        )
      },
      'is no bundle',
    ],
  ])('%s', async (_what, change, complaint) => {
    await expect(open(await changed(change))).rejects.toThrow(complaint)
  })

  it('a part of the file, another file, or none', async () => {
    const short = join(root, 'short.tar')
    await cp(file, short)
    await execa('truncate', ['-s', '-1M', short])
    await expect(open(short)).rejects.toThrow(/cannot be unpacked|is damaged/)
    await writeFile(join(root, 'text.tar'), 'text')
    await expect(open(join(root, 'text.tar'))).rejects.toThrow('cannot be unpacked')
    await expect(open(join(root, 'none.tar'))).rejects.toThrow('there is no bundle')
  })

  it('one with paths outside its folder', async () => {
    const bundle = join(root, 'outside.tar')
    await writeFile(join(root, 'victim'), 'before')
    await execa('tar', ['-cf', bundle, '-C', root, '--transform=s|^|../|', '-P', 'victim'])
    await expect(open(bundle)).rejects.toThrow(/cannot be unpacked|is no bundle/)
  })
})
