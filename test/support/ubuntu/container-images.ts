import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { goPrograms } from '../programs/build.ts'
import { type ContainerImage, writeLayout } from '../registry/layout.ts'
import type { Registry } from '../registry/registry.ts'
import type { Debian } from './debian.ts'
import { unpackDebian } from './debs.ts'
import type { KubernetesLine } from './kubernetes.ts'

/** What kube-proxy calls, and the libraries of that; the project's image has them from Debian as well. */
const PROXY_PACKAGES = [
  'conntrack',
  'ipset',
  'iptables',
  'kmod',
  'libc6',
  'libedit2',
  'libgmp10',
  'libip4tc2',
  'libip6tc2',
  'libipset13t64',
  'libjansson4',
  'libkmod2',
  'liblzma5',
  'libmnl0',
  'libnetfilter-conntrack3',
  'libnfnetlink0',
  'libnftables1',
  'libnftnl11',
  'libssl3t64',
  'libtinfo6',
  'libxtables12',
  'libzstd1',
  'nftables',
  'zlib1g',
]

/**
 * Pushes the images that kubeadm lists for a minor version with etcd outside: the real programs, each in its image, and
 * what kube-proxy calls.
 */
export async function kubernetesImages(
  root: string,
  debian: Debian,
  line: KubernetesLine,
  registry: Registry,
): Promise<void> {
  const scratch = await mkdtemp(join(root, 'container-images-'))
  const kubernetes = await goPrograms(`control-plane-${line}`)
  const coredns = await goPrograms('coredns')
  const pause = await goPrograms('pause')
  const tree = async (name: string, path: string): Promise<string> => {
    const folder = join(scratch, name)
    await mkdir(join(folder, path, '..'), { recursive: true })
    return folder
  }
  const images: ContainerImage[] = []
  for (const name of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
    const folder = await tree(name, `usr/local/bin/${name}`)
    await cp(join(kubernetes.folder, name), join(folder, 'usr/local/bin', name))
    images.push({ reference: `registry.k8s.io/${name}:v${kubernetes.version}`, tree: folder })
  }
  const proxy = await proxyTree(scratch, debian, join(kubernetes.folder, 'kube-proxy'))
  images.push({ reference: `registry.k8s.io/kube-proxy:v${kubernetes.version}`, tree: proxy })
  for (const [name, reference, { folder }] of [
    ['coredns', `registry.k8s.io/coredns/coredns:v${coredns.version}`, coredns],
    ['pause', `registry.k8s.io/pause:${pause.version}`, pause],
  ] as const) {
    const target = await tree(name, name)
    await cp(join(folder, name), join(target, name))
    images.push({ reference, tree: target, entrypoint: [`/${name}`] })
  }
  const layout = join(scratch, 'layout')
  await writeLayout(images, layout)
  for (const { reference } of images) {
    await registry.push(layout, reference, reference.slice(reference.indexOf('/') + 1))
  }
  await rm(scratch, { recursive: true })
}

async function proxyTree(scratch: string, debian: Debian, program: string): Promise<string> {
  const folder = join(scratch, 'kube-proxy')
  for (const path of ['bin', 'sbin', 'lib', 'lib64', 'local/bin']) {
    await mkdir(join(folder, 'usr', path), { recursive: true })
  }
  const packages = join(scratch, 'packages')
  await mkdir(packages)
  for (const unpacked of await unpackDebian(packages, debian, PROXY_PACKAGES)) {
    await rm(join(unpacked, 'usr/share'), { recursive: true, force: true })
    await execa('cp', ['--archive', `${unpacked}/.`, folder])
  }
  for (const path of ['bin', 'sbin', 'lib', 'lib64']) {
    await execa('ln', ['--symbolic', '--no-target-directory', `usr/${path}`, join(folder, path)])
  }
  for (const family of ['iptables', 'ip6tables']) {
    for (const kind of ['', '-save', '-restore']) {
      await execa('ln', [
        '--symbolic',
        '--force',
        'xtables-nft-multi',
        join(folder, `usr/sbin/${family}${kind}`),
      ])
    }
  }
  await cp(program, join(folder, 'usr/local/bin/kube-proxy'))
  return folder
}
