import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { repositorySource } from '../../../src/image/apt.ts'
import { provideKey, type Repository, repositoriesOf } from '../../../src/image/repository.ts'
import { createKey, type SigningKey } from '../../support/archive/key.ts'
import { type FileServer, serveFiles } from '../../support/archive/server.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder repository '))
const www = join(root, 'www')
let [key, other]: SigningKey[] = []
let server: FileServer
let folder = ''
let count = 0

beforeAll(async () => {
  await mkdir(www)
  server = await serveFiles(www)
  key = await createKey('repository')
  other = await createKey('other')
})
beforeEach(async () => {
  folder = join(root, String(count++))
  await mkdir(folder)
  await writeFile(join(www, 'Release.key'), key?.armored ?? '')
})
afterAll(async () => {
  await Promise.all([server.close(), key?.discard(), other?.discard()])
  await rm(root, { recursive: true })
})

async function repository(
  named: SigningKey | undefined,
  url: string | undefined = `${server.url}Release.key`,
) {
  const [one] = repositoriesOf(
    {
      extra: {
        url: 'http://r.example/v{line}/deb',
        suite: '/',
        components: [],
        packages: ['kubelet'],
        key: { fingerprint: named?.fingerprint ?? '', file: 'keys/extra.asc', url },
      },
    },
    folder,
    '1.37',
  )
  if (!one) throw new Error('no repository')
  return one
}

describe('the key of a repository', () => {
  it('is downloaded and kept when it has the fingerprint of the definition', async () => {
    const one = await repository(key)
    expect(one.url).toBe('http://r.example/v1.37/deb/')
    await provideKey(one)
    expect(await readFile(join(folder, 'keys/extra.asc'), 'utf8')).toContain('BEGIN PGP PUBLIC KEY BLOCK')
    server.requests.length = 0
    await provideKey(one)
    expect(server.requests).toEqual([])
  })

  it('is not kept when it is another', async () => {
    await expect(provideKey(await repository(other))).rejects.toThrow(
      `is not the key that image.yaml names (${other?.fingerprint}): it has ${key?.fingerprint}`,
    )
    await expect(readFile(join(folder, 'keys/extra.asc'))).rejects.toThrow('ENOENT')
  })

  it('is refused together with a second key, which apt would trust as well', async () => {
    await mkdir(join(folder, 'keys'))
    await writeFile(join(folder, 'keys/extra.asc'), `${key?.armored}\n${other?.armored}\n`)
    await expect(provideKey(await repository(key))).rejects.toThrow('is not the key of the repository extra')
  })

  it('is refused when the file has none', async () => {
    await mkdir(join(folder, 'keys'))
    await writeFile(join(folder, 'keys/extra.asc'), 'nothing')
    await expect(provideKey(await repository(key))).rejects.toThrow('it has no key')
  })

  it('is an error when it has no URL', async () => {
    await expect(
      provideKey({ ...(await repository(key)), key: { ...(await repository(key)).key, url: undefined } }),
    ).rejects.toThrow(`The key of the repository extra is missing: ${join(folder, 'keys/extra.asc')}`)
  })

  it('is an error when it cannot be downloaded', async () => {
    await expect(provideKey(await repository(key, `${server.url}gone`))).rejects.toThrow('HTTP 404')
  })
})

it('writes the key into apt’s source, so that a path with spaces does not matter', () => {
  const one = { name: 'extra', suite: '/', components: [] } as unknown as Repository
  const text = repositorySource(one, new Map([['extra', { mirror: 'http://m.example/' }]]), 'A\n\nB\n')
  expect(text).toBe(
    'Types: deb\nURIs: http://m.example/\nSuites: /\nArchitectures: amd64\nSigned-By:\n A\n .\n B\n',
  )
})
