import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { generatedFiles } from '../../../src/build/generated.ts'
import { loadImage } from '../../../src/image/definition.ts'
import { fallbackFor } from '../../../src/platform/fallback.ts'
import { loadPlatform } from '../../../src/platform/load.ts'
import { nftablesFor } from '../../../src/platform/nftables.ts'

const checkout = join(import.meta.dirname, '../../..')
const platform = await loadPlatform(join(checkout, 'platform.yaml'))
const image = await loadImage(checkout, 'haproxy')

describe('what an image has from the platform file', () => {
  it('is one firewall for one role', async () => {
    expect(await generatedFiles(image, platform, new Map())).toEqual({
      '/etc/seeder/firewall.nft': nftablesFor(platform, 'haproxy'),
      '/usr/lib/seeder/fallback.nft': fallbackFor(platform, ['haproxy']),
    })
  })

  it('is a firewall for each of several roles, and the first one’s at the start', async () => {
    const node = { ...image, roles: ['worker', 'control-plane'] }
    const files = await generatedFiles(node, platform, new Map())
    expect(files['/etc/seeder/firewall.nft']).toBe(nftablesFor(platform, 'worker'))
    expect(files['/etc/seeder/firewalls/worker.nft']).toBe(nftablesFor(platform, 'worker'))
    expect(files['/etc/seeder/firewalls/control-plane.nft']).toBe(nftablesFor(platform, 'control-plane'))
    expect(files['/etc/seeder/cluster.env']).toContain(`POD_CIDR=${platform.cluster.pods.cidr}\n`)
    expect(files['/etc/seeder/cluster.env']).toContain('NODE_PORTS=30000-32767\n')
  })

  it('is joined by the CA certificates', async () => {
    const trust = new Map([['etcd-ca.crt', join(checkout, 'LICENSE')]])
    expect((await generatedFiles(image, platform, trust))['/etc/seeder/trust/etcd-ca.crt']).toContain(
      'Apache',
    )
  })
})
