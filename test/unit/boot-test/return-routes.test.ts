import { expect, test } from 'vitest'
import { returnRoutes, withReturnRoutes } from '../../../src/boot-test/return-routes.ts'
import { layOutSite, machineOf } from '../../../src/boot-test/site.ts'
import type { PlacedClone } from '../../../src/boot-test/test-bed.ts'
import { loadPlatform } from '../../../src/platform/load.ts'
import { withGateways } from '../../support/boot-test/gateways.ts'

const platform = await loadPlatform('platform.yaml')
const plans = [
  { hostname: 'cp1', role: 'control-plane', number: 0 },
  { hostname: 'lb1', role: 'haproxy', number: 1 },
] as const
const site = layOutSite(platform, plans)
const [controlPlane, balancer] = [machineOf(site, 'cp1'), machineOf(site, 'lb1')]

test('a machine without a default route gets routes to the zones where it has no card', () => {
  expect(returnRoutes({ platform, site }, controlPlane)).toEqual(
    ['192.168.3.0/24', '192.168.1.0/24', '10.0.0.0/26', '10.0.0.192/26', '10.32.0.10/32'].map((network) => ({
      network,
      via: '10.0.0.104',
    })),
  )
})

test('a machine with a default route gets none', () => {
  expect(returnRoutes({ platform, site }, balancer)).toEqual([])
  const gateways = withGateways(platform, { back: '10.0.0.190' })
  const routed = layOutSite(gateways, plans)
  expect(returnRoutes({ platform: gateways, site: routed }, machineOf(routed, 'cp1'))).toEqual([])
})

test('the routes are there during the work, and removed when it fails', async () => {
  const scripts: string[] = []
  const agent = {
    shell: async (script: string) => {
      scripts.push(script.split('\n')[0] ?? '')
      return ''
    },
  }
  const node = (machine: typeof balancer) => ({ clone: { agent }, machine }) as unknown as PlacedClone
  const work = async () => {
    scripts.push('work')
    throw new Error('a port is open')
  }
  const begin = 'ip route add 192.168.3.0/24 via 10.0.0.104'
  await expect(withReturnRoutes({ platform, site }, node(controlPlane), work)).rejects.toThrow(
    'a port is open',
  )
  expect(scripts).toEqual([begin, 'work', begin.replace('add', 'del')])
  scripts.length = 0
  expect(await withReturnRoutes({ platform, site }, node(balancer), async () => 'done')).toBe('done')
  expect(scripts).toEqual([])
})
