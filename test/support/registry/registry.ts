import { hash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { execa } from 'execa'
import { readDebian } from '../ubuntu/debian.ts'
import { unpackDebian } from '../ubuntu/debs.ts'

/** A registry of container images on loopback: Debian's docker-registry. */
export interface Registry {
  /** With http://, without a path. */
  readonly url: string
  /**
   * Pushes an image of an OCI image layout, and a list of manifests with it for each of `architectures` at its tag.
   * @param repository with the tag, for example `kube-proxy:v1.37.2`
   */
  push(layout: string, name: string, repository: string, architectures?: readonly string[]): Promise<void>
  close(): Promise<void>
}

/** Starts a registry. @param root an existing folder for its program and files, without blanks in its path */
export async function startRegistry(root: string): Promise<Registry> {
  const [apt, packages] = [join(root, 'apt'), join(root, 'packages')]
  for (const folder of [apt, packages]) await mkdir(folder, { recursive: true })
  const debian = await readDebian(apt)
  const [unpacked = ''] = await unpackDebian(packages, debian, ['docker-registry'])
  const address = `127.0.0.1:${await freePort()}`
  const configuration = join(root, 'registry.yaml')
  const settings = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(root, 'storage') } },
    http: { addr: address },
  }
  await writeFile(configuration, JSON.stringify(settings))
  const running = execa(join(unpacked, 'usr/bin/docker-registry'), ['serve', configuration], {
    env: { OTEL_TRACES_EXPORTER: 'none' },
    reject: false,
    stdio: 'ignore',
  })
  const url = `http://${address}`
  await answers(url)
  return {
    url,
    push: (layout, name, repository, architectures = ['amd64', 'arm64']) =>
      push(url, { layout, name, repository, architectures }),
    async close() {
      running.kill()
      await running
    },
  }
}

interface Pushed {
  readonly layout: string
  readonly name: string
  readonly repository: string
  readonly architectures: readonly string[]
}

async function push(url: string, { layout, name, repository, architectures }: Pushed): Promise<void> {
  const target = `docker://${url.slice('http://'.length)}/${repository}`
  const options = ['--insecure-policy', 'copy', '--quiet', '--dest-no-creds', '--dest-tls-verify=false']
  await execa('skopeo', [...options, `oci:${layout}:${name}`, target])
  const [path = '', tag = ''] = repository.split(':')
  const manifest = await fetch(`${url}/v2/${path}/manifests/${tag}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  })
  const bytes = Buffer.from(await manifest.arrayBuffer())
  const type = 'application/vnd.oci.image.index.v1+json'
  const index = {
    schemaVersion: 2,
    mediaType: type,
    manifests: architectures.map((architecture) => ({
      mediaType: manifest.headers.get('content-type'),
      digest: `sha256:${hash('sha256', bytes)}`,
      size: bytes.length,
      platform: { os: 'linux', architecture },
    })),
  }
  const put = await fetch(`${url}/v2/${path}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': type },
    body: JSON.stringify(index),
  })
  if (put.status !== 201)
    throw new Error(`the registry does not take the list of ${repository}: ${await put.text()}`)
}

async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const server = createServer().listen(0, '127.0.0.1', () => {
    const address = server.address()
    server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
  })
  return promise
}

async function answers(url: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const found = await fetch(`${url}/v2/`).catch(() => undefined)
    if (found?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error('the registry does not answer')
}
