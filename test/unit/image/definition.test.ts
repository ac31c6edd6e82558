import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { imageNames, loadImage, requestedPackages } from '../../../src/image/definition.ts'

const checkout = join(import.meta.dirname, '../../..')
const root = await mkdtemp(join(tmpdir(), 'seeder definitions '))
let project = ''
let count = 0

beforeEach(async () => {
  project = join(root, String(count++))
  for (const file of ['images/base/debian-trixie.yaml', 'images/haproxy/image.yaml']) {
    await mkdir(dirname(join(project, file)), { recursive: true })
    await cp(join(checkout, file), join(project, file))
  }
})
afterAll(() => rm(root, { recursive: true }))

/** Replaces text of a file of the project, which must be there. */
async function edit(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(join(project, file), 'utf8')
  expect(text).toContain(from)
  await writeFile(join(project, file), text.replace(from, to))
}

describe('an image', () => {
  it('has its base, the path of its lock and the existing trees', async () => {
    await mkdir(join(project, 'images/haproxy/tree'))
    const image = await loadImage(project, 'haproxy')
    expect(image).toMatchObject({
      name: 'haproxy',
      roles: ['haproxy'],
      base: { name: 'debian-trixie', suite: 'trixie', kernel: 'linux-image-cloud-amd64' },
      lockFile: join(project, 'images/haproxy/image.lock.json'),
      trees: [join(project, 'images/haproxy/tree')],
    })
  })

  it('has a lock of its own on another base', async () => {
    await cp(join(project, 'images/base/debian-trixie.yaml'), join(project, 'images/base/other.yaml'))
    const image = await loadImage(project, 'haproxy', { base: 'other' })
    expect(image.base.name).toBe('other')
    expect(image.lockFile).toBe(join(project, 'images/haproxy/image.other.lock.json'))
  })

  it('requests the kernel, the base’s packages and its own, without duplicates', async () => {
    await edit('images/haproxy/image.yaml', '- keepalived', '- keepalived\n  - iproute2')
    const requested = requestedPackages(await loadImage(project, 'haproxy'))
    expect(requested).toEqual([...new Set(requested)].sort())
    expect(requested).toEqual(expect.arrayContaining(['linux-image-cloud-amd64', 'cloud-init', 'keepalived']))
  })

  it('always has the security and updates pockets on Debian', async () => {
    const { base } = await loadImage(checkout, 'haproxy')
    expect(base.pockets.map((pocket) => pocket.suite)).toEqual([
      base.suite,
      `${base.suite}-updates`,
      `${base.suite}-security`,
    ])
  })
})

describe('a missing image or base', () => {
  it.each(['nginx', '../haproxy', 'Haproxy', '', 'base'])(
    'refuses the image "%s" and lists what there is',
    async (name) => {
      await expect(loadImage(project, name)).rejects.toMatchObject({
        name: 'UsageError',
        message: `There is no image "${name}" in ${project}/images`,
        fix: 'use one of: haproxy',
      })
    },
  )

  it('is reported in a project without images', async () => {
    const empty = join(root, 'empty')
    await mkdir(empty, { recursive: true })
    expect(await imageNames(empty)).toEqual([])
    await expect(loadImage(empty, 'haproxy')).rejects.toMatchObject({
      fix: 'use one of: (none found; is this a Seeder project?)',
    })
  })

  it.each(['ubuntu', '../base/debian-trixie'])(
    'refuses the base "%s" and lists what there is',
    async (name) => {
      await expect(loadImage(project, 'haproxy', { base: name })).rejects.toMatchObject({
        name: 'UsageError',
        message: `There is no base "${name}" in ${project}/images/base`,
        fix: 'use one of: debian-trixie',
      })
    },
  )

  it('refuses a base that the definition itself names', async () => {
    await edit('images/haproxy/image.yaml', 'base: debian-trixie', 'base: debian-sid')
    await expect(loadImage(project, 'haproxy')).rejects.toThrow('There is no base "debian-sid"')
  })
})

describe('a wrong definition is refused with file, line and fix', () => {
  const image = 'images/haproxy/image.yaml'
  const base = 'images/base/debian-trixie.yaml'

  /** The lines of the error after `from` became `to`; the place that `mark` has in the file is written HERE. */
  async function refusal(file: string, from: string, to: string, mark: string): Promise<string[]> {
    await edit(file, from, to)
    const lines = (await readFile(join(project, file), 'utf8')).split('\n')
    const line = lines.findIndex((one) => one.includes(mark) && !one.startsWith('#'))
    const here = `${project}/${file}:${line + 1}:${(lines[line]?.indexOf(mark) ?? 0) + 1}:`
    const error: unknown = await loadImage(project, 'haproxy').catch((caught: unknown) => caught)
    expect(error).toMatchObject({ name: 'UsageError' })
    return error instanceof Error ? error.message.split('\n').map((one) => one.replace(here, 'HERE')) : []
  }

  it('an unknown key, and the one that is missing for it', async () => {
    expect(await refusal(image, '\npackages:\n', '\npackage: #\n', 'package: #')).toEqual([
      `${project}/${image}:1:1: packages: missing; add it (a list)`,
      'HERE package: unknown key; did you mean packages?',
    ])
  })

  it('an unknown key further in', async () => {
    expect(await refusal(image, '  enable:\n', '  enabled:\n', 'enabled:')).toEqual([
      'HERE services.enabled: unknown key; did you mean enable?',
    ])
  })

  it('an unknown key of the base', async () => {
    const lines = await refusal(base, 'keyring:', 'keyring: /k.gpg\nmirror:', 'mirror:')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^HERE mirror: unknown key; use one of distribution, suite, /)
  })

  it('a package name that could be an option', async () => {
    expect(await refusal(image, '- keepalived', '- --force-yes', '--force-yes')).toEqual([
      'HERE packages[1]: found "--force-yes"; give the name of a Debian package',
    ])
  })

  it('a unit without its kind', async () => {
    expect(await refusal(image, '- haproxy.service', '- haproxyd', 'haproxyd')).toEqual([
      'HERE services.disable[0]: found "haproxyd"; give the name of a unit with its kind, as in ssh.service',
    ])
  })

  it('a revision of zero', async () => {
    expect(await refusal(image, 'revision: 1', 'revision: 0', '0 }')).toEqual([
      'HERE version.revision: found 0; give at least 1',
    ])
  })

  it('a number where text belongs', async () => {
    expect(await refusal(base, 'kernel: linux-image-cloud-amd64', 'kernel: 6', '6')).toEqual([
      'HERE kernel: found 6, a number; put it in quotes',
    ])
  })

  it('invalid YAML', async () => {
    const [first] = await refusal(image, '\npackages:', '\npackages: [', 'packages: [')
    expect(first).toMatch(/\/image\.yaml:\d+:\d+: .+; .+/)
  })
})
