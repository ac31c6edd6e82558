import { describe, expect, it } from 'vitest'
import { wantedContainers } from '../../../src/image/lock-container.ts'
import { parseReference } from '../../../src/image/reference.ts'
import { sourceOf } from '../../../src/image/registry.ts'

const listed =
  'registry.k8s.io/kube-proxy:v1.37.2\nregistry.k8s.io/etcd:3.6.5-0\nregistry.k8s.io/pause:3.10.2\n'
const containers = { references: [], exclude: ['etcd'], roles: { worker: ['kube-proxy'] } }

describe('the container images of a definition', () => {
  it('are the listed ones without the excluded, and its own, by name', () => {
    const references = ['docker.io/library/busybox:1.37']
    const found = wantedContainers({ ...containers, references }, listed)
    expect(found.map(({ name, tag }) => `${name} ${tag}`)).toEqual([
      'busybox 1.37',
      'kube-proxy v1.37.2',
      'pause 3.10.2',
    ])
  })

  it.each([
    ['an exclusion of nothing', { exclude: ['etc'] }, 'There is no container image etc'],
    [
      'a role’s image that is not there',
      { roles: { worker: ['kubeproxy'] } },
      'There is no container image kubeproxy',
    ],
    [
      'a name twice',
      { references: ['quay.io/other/pause:1'] },
      'There are two container images with the name pause',
    ],
    ['no tag', { references: ['quay.io/other/tool'] }, '"quay.io/other/tool" is not the reference'],
  ])('cannot have %s', (_what, change, message) => {
    expect(() => wantedContainers({ ...containers, ...change }, listed)).toThrow(message)
  })

  it('cannot come from a program that prints something else', () => {
    expect(() => wantedContainers(containers, 'W1201 falling back to the local version\n')).toThrow(
      '"W1201 falling back to the local version" is not the reference of a container image',
    )
  })
})

describe('a reference', () => {
  const reference = parseReference('registry.k8s.io/coredns/coredns:v1.14.6')

  it('has a registry, a repository, a tag and a name', () => {
    expect(reference).toEqual({
      registry: 'registry.k8s.io',
      repository: 'coredns/coredns',
      tag: 'v1.14.6',
      name: 'coredns',
    })
  })

  it.each([
    [undefined, 'docker://registry.k8s.io/coredns/coredns', false],
    ['https://mirror.example/k8s/', 'docker://mirror.example/k8s/coredns/coredns', false],
    ['http://127.0.0.1:5000', 'docker://127.0.0.1:5000/coredns/coredns', true],
  ])('is read from its registry or the mirror %s', (mirror, place, plain) => {
    const env = mirror === undefined ? {} : { SEEDER_MIRROR_REGISTRY_K8S_IO: mirror }
    expect(sourceOf(reference, env)).toEqual({ place, plain })
  })
})
