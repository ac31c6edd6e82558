import { expect, test } from 'vitest'
import { containerBlobs, containerIndexes } from '../../../../src/build/containers/layout.ts'
import { loadImage } from '../../../../src/image/definition.ts'
import { Store } from '../../../../src/store/store.ts'
import { lock } from '../../../support/evidence/facts.ts'
import { lockedContainer } from '../../../support/registry/locked.ts'
import { checkout } from '../../../support/seeder.ts'

const image = {
  ...(await loadImage(checkout, 'haproxy')),
  roles: ['worker', 'control-plane'],
  containers: { references: [], exclude: [], roles: { 'control-plane': ['apiserver'] } },
}
const locked = { ...lock, containers: [lockedContainer('apiserver', 'a'), lockedContainer('proxy', 'b')] }
const folder = '/usr/lib/seeder/images'

test('a blob that several images have is one file, of the first of them', () => {
  const blobs = containerBlobs(locked, new Store('/store', '/scratch'))
  expect(blobs.map(({ path, container: owner }) => [path.slice(folder.length, -58), owner])).toEqual([
    ['/blobs/sha256/aaaaaa', 'apiserver'],
    ['/blobs/sha256/a0a0a0', 'apiserver'],
    ['/blobs/sha256/ffffff', 'apiserver'],
    ['/blobs/sha256/bbbbbb', 'proxy'],
    ['/blobs/sha256/b0b0b0', 'proxy'],
  ])
})

test('each role has an index and the list of its blobs: what no role has for itself is for all', () => {
  const files = containerIndexes(image, locked)
  expect(Object.keys(files).sort()).toEqual([
    `${folder}/control-plane.blobs`,
    `${folder}/control-plane.json`,
    `${folder}/oci-layout`,
    `${folder}/worker.blobs`,
    `${folder}/worker.json`,
  ])
  const names = (role: string) =>
    JSON.parse(files[`${folder}/${role}.json`] ?? '').manifests.map(
      (each: { annotations: Record<string, string> }) => each.annotations['io.containerd.image.name'],
    )
  expect(names('worker')).toEqual(['registry.k8s.io/proxy:v1'])
  expect(names('control-plane')).toEqual(['registry.k8s.io/apiserver:v1', 'registry.k8s.io/proxy:v1'])
  expect(files[`${folder}/worker.blobs`]?.split('\n').map((path) => path.slice(0, 19))).toEqual([
    'blobs/sha256/bbbbbb',
    'blobs/sha256/b0b0b0',
    'blobs/sha256/ffffff',
    '',
  ])
})

test('an image without container images has no layout', () => {
  expect(containerIndexes(image, { ...locked, containers: [] })).toEqual({})
})
