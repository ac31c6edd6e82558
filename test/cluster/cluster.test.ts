import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { published } from '../support/schemas.ts'
import { seeder } from '../support/seeder.ts'

/** Clones of the finished images found a real cluster: kubeadm, the API behind HAProxy, etcd, pods. */
const root = await testFolder('together')
const haproxy = join(root, 'haproxy')
let images: Record<string, BuiltImage> = {}

beforeAll(async () => {
  await warmUp(haproxy)
  images = await ubuntuImages(root, ['etcd', 'kubernetes-node'], true)
}, 30 * 60_000)
afterAll(() => removeFolder(root))

it(
  'a load balancer, a member of etcd, a control plane and a worker found a cluster, and pods are reached from outside',
  async () => {
    const folders = [haproxy, ...Object.values(images).map(({ out }) => out)]
    const { code, stdout, stderr } = await seeder(['test', ...folders])
    const text = await readFile(join(haproxy, 'together-report.json'), 'utf8')
    const report = await published('together-report', JSON.parse(text))
    const others = report.checks.filter((check: { status: string }) => check.status !== 'passed')
    expect(others, `${stdout}\n${stderr}`).toEqual([])
    expect(code).toBe(0)
    expect(report.images.map(({ image }: { image: string }) => image)).toEqual([
      'haproxy',
      'etcd',
      'kubernetes-node',
    ])
    expect(stdout).toContain('PASSED: haproxy')
    console.log(`cluster: ${report.checks.length} checks passed, ${others.length} failed`)
  },
  60 * 60_000,
)
