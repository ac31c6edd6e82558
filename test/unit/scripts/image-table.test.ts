import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { components, row, withTable } from '../../../scripts/image-table.ts'
import type { Manifest } from '../../../src/build/manifest.ts'
import { loadImage } from '../../../src/image/definition.ts'

const checkout = join(import.meta.dirname, '../../..')
const manifest = {
  image: 'kubernetes-node',
  version: '1.37.1-1',
  base: 'ubuntu-resolute',
  packages: { kubelet: '1.37.1-1.1', kubeadm: '1.37.1-1.1', containerd: '2.1.9+ds1-5', bash: '5.2' },
  artifacts: {},
  kernel: { version: '7.0.0-34-generic', commandLine: '' },
  qcow2: { file: 'x', sha256: '', size: 250_000_000 },
} as unknown as Manifest

describe('the table of images', () => {
  it('names what an image is there for, and the kernel', async () => {
    expect(components(await loadImage(checkout, 'kubernetes-node'), manifest)).toEqual([
      ['kubelet', '1.37.1'],
      ['kubeadm', '1.37.1'],
      ['containerd', '2.1.9'],
      ['linux', '7.0.0-34-generic'],
    ])
    const etcd = { ...manifest, packages: {}, artifacts: { etcd: { version: '3.7.2', sha256: '' } } }
    expect(components(await loadImage(checkout, 'etcd'), etcd)[0]).toEqual(['etcd', '3.7.2'])
  })

  it('has the time of the first boot and how it was measured, or that it was not tested', async () => {
    const image = await loadImage(checkout, 'kubernetes-node')
    const report = {
      passed: true,
      raw: { sha256: '' },
      accelerator: { kind: 'tcg' as const },
      boot: { readyMs: 61_400 },
    }
    expect(row(image, manifest, report)).toMatch(
      /^\| `kubernetes-node` 1\.37\.1-1 \| .* \| 250 MB \| 61 s \(emulated\) \|$/,
    )
    expect(row(image, manifest, undefined)).toContain('| not tested |')
    expect(row(image, manifest, { ...report, passed: false })).toContain('| not tested |')
  })

  it('replaces only the existing table', () => {
    const text = 'before\n<!-- images: npm run table -- DIR... -->\nold\n<!-- images end -->\nafter\n'
    const once = withTable(text, ['| a |'])
    expect(once).toMatch(
      /^before\n<!-- images[^\n]*\n\| image [^\n]*\n\|---[^\n]*\n\| a \|\n<!-- images end -->\nafter\n$/,
    )
    expect(withTable(once, ['| a |'])).toBe(once)
    expect(() => withTable('nothing', [])).toThrow('to write the table to')
  })
})
