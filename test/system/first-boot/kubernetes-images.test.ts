import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { containerBlobs, containerIndexes } from '../../../src/build/containers/layout.ts'
import { loadImage } from '../../../src/image/definition.ts'
import { Store } from '../../../src/store/store.ts'
import { lock } from '../../support/evidence/facts.ts'
import {
  type EtcdFiles,
  makeEtcdFiles,
  makeKubernetesNode,
} from '../../support/first-boot/kubernetes-site.ts'
import type { Node } from '../../support/first-boot/node.ts'
import { lockedContainer } from '../../support/registry/locked.ts'
import { checkout } from '../../support/seeder.ts'

let etcd: EtcdFiles
let node: Node
beforeAll(async () => {
  etcd = await makeEtcdFiles()
})
afterEach(() => node.dispose())

describe('container images that come with the image', () => {
  const importing = (name: string) =>
    `ctr --namespace k8s.io images import /usr/lib/seeder/images/${name}.tar`
  const run = async () => {
    await node.write('/var/calls', '')
    const { exitCode } = await node.enter('/usr/lib/seeder/import-images')
    return { exitCode, calls: (await node.read('/var/calls'))?.trim().split('\n') }
  }

  test('each is given to containerd once; one that it refuses does not stop the others', async () => {
    node = await makeKubernetesNode(etcd, 'none')
    await node.write('/var/broken-images', '/usr/lib/seeder/images/a.tar\n')
    expect(await run()).toEqual({ exitCode: 1, calls: [importing('a'), importing('b')] })
    await node.write('/var/broken-images', '')
    expect(await run()).toEqual({ exitCode: 0, calls: [importing('a')] })
    expect(await run()).toEqual({ exitCode: 0, calls: [''] })
    // The next version of the image may have others.
    await node.write('/var/lib/seeder/images/b.tar.done', 'kubelet-1.36.9-1\n')
    expect(await run()).toEqual({ exitCode: 0, calls: [importing('b')] })
  })

  test.each([
    ['worker', ['pause'], 3],
    ['control-plane', ['kube-apiserver', 'pause'], 5],
  ])('a %s imports those of its role, in one archive', async (role, names, blobs) => {
    node = await makeKubernetesNode(etcd, 'none')
    const image = await loadImage(checkout, 'kubernetes-node')
    const locked = {
      ...lock,
      containers: [lockedContainer('kube-apiserver', 'a'), lockedContainer('pause', 'b')],
    }
    for (const file of containerBlobs(locked, new Store('/store', '/scratch'))) {
      await node.write(`/made${file.path}`, file.sha256)
    }
    for (const [path, text] of Object.entries(containerIndexes(image, locked))) {
      await node.write(`/made${path}`, text)
    }
    await node.write('/var/calls', '')
    const call = () => node.enter(`NODE_ROLE=${role}`, '/usr/lib/seeder/import-images')
    expect(await call()).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await node.read('/var/calls')).toContain('ctr --namespace k8s.io images import -\n')

    const tar = (...argv: string[]) => node.enter('/usr/bin/tar', '--file=/var/imported.tar', ...argv)
    const { stdout: index } = await tar('--extract', '--to-stdout', 'index.json')
    const manifests: { annotations: Record<string, string> }[] = JSON.parse(index).manifests
    expect(manifests.map(({ annotations }) => annotations['io.containerd.image.name'])).toEqual(
      names.map((name) => `registry.k8s.io/${name}:v1`),
    )
    const { stdout: members } = await tar('--list')
    expect(members.split('\n').filter((path) => path.startsWith('blobs/sha256/'))).toHaveLength(blobs)
    expect(members.split('\n')).toContain('oci-layout')

    await node.write('/var/calls', '')
    expect(await call()).toMatchObject({ exitCode: 0 })
    expect(await node.read('/var/calls')).toBe('')
  })
})
