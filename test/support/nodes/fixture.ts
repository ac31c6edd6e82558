import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type HostResult, PveHost } from '../../stand-ins/proxmox/host.ts'
import { Authority } from '../first-boot/etcd-certificates.ts'
import { playGuests, seederNode } from './host.ts'
import { emptyDisk, makeTemplate } from './template.ts'

/** A host with a template of each image, whose guests are played. */
export interface NodeHost {
  readonly root: string
  readonly host: PveHost
  /** A folder with certificates for etcd1 to etcd6, each for all of the first six addresses of their zone. */
  readonly tls: string
  readonly disk: string
  /** Runs `seeder node ARGS`, which has to succeed. */
  ok(...argv: readonly string[]): Promise<HostResult>
  /** Runs `seeder node ARGS`, which has to fail. What it said. */
  refused(...argv: readonly string[]): Promise<string>
  dispose(): Promise<void>
}

/** Makes a host, with more Proxmox nodes beside it when they are named. */
export async function nodeHost(name: string, nodes: readonly string[] = ['pve1']): Promise<NodeHost> {
  const root = await mkdtemp(join(tmpdir(), `seeder ${name} `))
  const tls = join(root, 'tls')
  await mkdir(tls)
  const ca = await Authority.make('etcd-ca')
  await writeFile(join(tls, 'etcd-ca.crt'), ca.cert)
  const numbers = [1, 2, 3, 4, 5, 6]
  const addresses = numbers.map((number) => `IP:10.0.0.${128 + number}`)
  for (const number of numbers) {
    const pair = await ca.issue(`etcd${number}`, { names: [`DNS:etcd${number}`, ...addresses].join(',') })
    await writeFile(join(tls, `etcd${number}.crt`), pair.cert)
    await writeFile(join(tls, `etcd${number}.key`), pair.key)
  }
  await ca.dispose()
  const host = await PveHost.create(join(root, 'host'), { nodes })
  await host.start()
  const disk = await emptyDisk(root)
  const images = { etcd: '3.7.2-1', haproxy: '3.0.11-1', 'kubernetes-node': '1.37.1-1' }
  for (const [index, [image, version]] of Object.entries(images).entries()) {
    await makeTemplate(host, { vmid: 9001 + index, image, version, disk })
  }
  await playGuests(host)
  await host.faults.clear()
  return {
    root,
    host,
    tls,
    disk,
    async ok(...argv) {
      const result = await seederNode(host, argv)
      expect(result.code, result.stderr).toBe(0)
      return result
    },
    async refused(...argv) {
      const { code, stderr } = await seederNode(host, argv)
      expect([1, 2], stderr).toContain(code)
      return stderr
    },
    async dispose() {
      await host.remove()
      await rm(root, { recursive: true, force: true })
    },
  }
}
