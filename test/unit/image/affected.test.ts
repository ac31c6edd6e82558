import { describe, expect, it } from 'vitest'
import { affectedImages, type ChangedPath, matrixOf } from '../../../src/image/affected.ts'

const images = [
  { name: 'etcd', bases: ['ubuntu-resolute', 'debian-trixie'], lock: undefined },
  { name: 'haproxy', bases: ['debian-trixie', 'debian-trixie'], lock: 'image.lock.json' },
]
const affected = (...changes: (string | ChangedPath)[]) =>
  affectedImages(
    images,
    changes.map((change) => (typeof change === 'string' ? { path: change } : change)),
  ).map(({ image }) => image)

describe('images that a change affects', () => {
  it.each([
    ['src/build/disk.ts', ['etcd', 'haproxy']],
    ['dist/cli/index.js', ['etcd', 'haproxy']],
    ['images/common/tree/etc/fstab', ['etcd', 'haproxy']],
    ['platform.yaml', ['etcd', 'haproxy']],
    ['images/base/debian-trixie.yaml', ['etcd', 'haproxy']],
    ['images/base/ubuntu-resolute.yaml', ['etcd']],
    ['images/haproxy/image.yaml', ['haproxy']],
    ['images/haproxy/image.lock.json', ['haproxy']],
    ['images/haproxy/tree/etc/haproxy/haproxy.cfg', ['haproxy']],
    ['images/etcd/trust/ca.crt', ['etcd']],
  ])('%s', (path, expected) => {
    expect(affected(path)).toEqual(expected)
  })

  it.each([
    'README.md',
    'docs/operations.md',
    'images/haproxy/README.md',
    'images/haproxy/check-values',
    'images/haproxy/image.ubuntu-resolute.lock.json',
    'images/etcd/image.3.6.lock.json',
    'images/haproxy-edge/image.yaml',
    'images/base/fedora.yaml',
    'scripts/deploy.sh',
    'test/light/build.test.ts',
  ])('not by %s', (path) => {
    expect(affected(path)).toEqual([])
  })

  it('not by a lock with only another format', () => {
    expect(affected({ path: 'images/haproxy/image.lock.json', sameLock: true })).toEqual([])
    expect(affected({ path: 'images/haproxy/image.lock.json', sameLock: false })).toEqual(['haproxy'])
  })

  it('with the changed paths', () => {
    const changes = [{ path: 'README.md' }, { path: 'images/etcd/image.yaml' }, { path: 'platform.yaml' }]
    expect(affectedImages(images, changes)[0]).toEqual({
      image: 'etcd',
      paths: ['images/etcd/image.yaml', 'platform.yaml'],
    })
  })
})

it('a matrix has one entry for each image', () => {
  expect(matrixOf(['etcd', 'haproxy'])).toEqual({ include: [{ image: 'etcd' }, { image: 'haproxy' }] })
  expect(matrixOf([])).toEqual({ include: [] })
})
