import { cp, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { sha256File } from '../../../src/store/digest.ts'
import { goPrograms } from '../programs/build.ts'
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

/** A container image in the making: its reference and the tree of its one layer. */
interface ContainerImage {
  readonly reference: string
  readonly tree: string
  readonly entrypoint?: readonly string[]
}

interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

/**
 * Writes an OCI archive with the images that kubeadm lists for a minor version with etcd outside: the real programs, each
 * in its image, and what kube-proxy calls.
 */
export async function kubernetesImages(
  root: string,
  debian: Debian,
  line: KubernetesLine,
  archive: string,
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
  await writeArchive(images, join(scratch, 'layout'), archive)
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

/** https://github.com/opencontainers/image-spec, image layout in a tar. */
async function writeArchive(
  images: readonly ContainerImage[],
  layout: string,
  archive: string,
): Promise<void> {
  const blobs = join(layout, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  const manifests: unknown[] = []
  for (const image of images) {
    const layer = await addLayer(blobs, image.tree)
    const config = await addJson(blobs, 'application/vnd.oci.image.config.v1+json', {
      architecture: 'amd64',
      os: 'linux',
      config: {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        ...(image.entrypoint ? { Entrypoint: image.entrypoint } : {}),
        WorkingDir: '/',
      },
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    })
    const manifest = await addJson(blobs, 'application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers: [layer],
    })
    manifests.push({ ...manifest, annotations: { 'io.containerd.image.name': image.reference } })
  }
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }
  await writeFile(join(layout, 'index.json'), JSON.stringify(index))
  await packTree(layout, archive)
}

async function addLayer(blobs: string, tree: string): Promise<Blob> {
  const file = join(blobs, 'layer')
  await packTree(tree, file)
  return addBlob(blobs, 'application/vnd.oci.image.layer.v1.tar', file)
}

async function addJson(blobs: string, mediaType: string, value: unknown): Promise<Blob> {
  const file = join(blobs, 'json')
  await writeFile(file, JSON.stringify(value))
  return addBlob(blobs, mediaType, file)
}

async function addBlob(blobs: string, mediaType: string, file: string): Promise<Blob> {
  const digest = await sha256File(file)
  const { size } = await stat(file)
  await rename(file, join(blobs, digest))
  return { mediaType, digest: `sha256:${digest}`, size }
}

async function packTree(tree: string, file: string): Promise<void> {
  const owner = ['--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX']
  await execa('tar', ['--sort=name', '--mtime=@0', ...owner, '-cf', file, '-C', tree, '.'])
}
