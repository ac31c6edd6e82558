import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { generatedFiles } from '../../../src/build/generated.ts'
import { placeNodes } from '../../../src/host/node/placement.ts'
import { planNodes } from '../../../src/host/node/plan.ts'
import { planText, showPlan } from '../../../src/host/node/plan-text.ts'
import { loadImage } from '../../../src/image/definition.ts'
import { parsePlatform } from '../../../src/platform/load.ts'
import { type Platform, platformSchema } from '../../../src/platform/schema.ts'
import { networkRows, portRows } from '../../../src/platform/tables.ts'
import { requireBuilders } from '../../../src/release/promote/confirmation.ts'
import { entry, facts, request } from '../../support/nodes/site.ts'
import { checkout } from '../../support/seeder.ts'

/** Each key of the platform file arrives somewhere: a change of it changes a file of an image, a command for a VM, or an output. */
const text = await readFile(join(checkout, 'platform.yaml'), 'utf8')

/** Where a key can arrive. */
const places = {
  'the files of the images': async (platform: Platform) => {
    const images = await Promise.all(
      ['haproxy', 'etcd', 'kubernetes-node'].map((name) => loadImage(checkout, name)),
    )
    return JSON.stringify(
      await Promise.all(images.map((image) => generatedFiles(image, platform, new Map()))),
    )
  },
  'the commands and values of nodes': async (platform: Platform) => {
    const site = { ...facts(), platform }
    const peers = [
      entry('cp1', { role: 'control-plane', addresses: { middle: '10.0.0.70', back: '10.0.0.160' } }),
    ]
    const wanted = [
      request(['lb1', 'lb2'], 'haproxy'),
      request(['cp2'], 'control-plane', { values: { BOOTSTRAP: 'join' } }),
      request(['w1'], 'worker'),
      request(['etcd1'], 'etcd'),
    ]
    return wanted
      .flatMap((one) => {
        const placements = placeNodes(site, one, { makeToken: () => 'f'.repeat(32), answering: [] })
        const sources = { placements, peers, files: new Map(), cluster: undefined, replaces: undefined }
        return planNodes(site, one, sources).map((plan) => planText(showPlan(plan, true)))
      })
      .join('\n')
  },
  'platform network and ports': async (platform: Platform) =>
    JSON.stringify([networkRows(platform), portRows(platform)]),
  'a promotion': async ({ releases }: Platform) => {
    try {
      requireBuilders('haproxy-1', releases.builders, 'op', [])
      return ''
    } catch (error) {
      return String(error)
    }
  },
}

type Changed = Record<string, unknown>
type Arrival = readonly [place: keyof typeof places | 'a refusal', change: (file: Changed) => void]

/** Sets what is at a path, as `zones.front.title`. */
const set =
  (path: string, value: unknown) =>
  (file: Changed): void => {
    const names = path.split('.')
    const last = names.pop() ?? ''
    const parent = names.reduce((from, name) => {
      from[name] ??= {}
      return from[name] as Changed
    }, file)
    parent[last] = value
  }

const files = 'the files of the images'
const nodes = 'the commands and values of nodes'
const arrivals: Record<string, Arrival> = {
  'zones.*.title': ['platform network and ports', set('zones.front.title', 'Another')],
  'zones.*.bridge': [nodes, set('zones.front.bridge', 'vmbr99')],
  'zones.*.vlan': [nodes, set('zones.front.vlan', 20)],
  'zones.*.mtu': [nodes, set('zones.front.mtu', 1400)],
  'zones.*.cidr': [files, set('zones.home.cidr', '192.168.2.0/23')],
  'zones.*.range': [nodes, set('zones.front.range', '10.0.0.5-10.0.0.50')],
  'zones.*.host': ['platform network and ports', set('zones.home.host', '192.168.3.62')],
  'zones.*.gateway': [nodes, set('zones.front.gateway', '10.0.0.62')],
  dns: [nodes, set('dns', ['192.168.3.1'])],
  ntp: [nodes, set('ntp', ['ntp.example.internal'])],
  'vips.*.role': ['a refusal', set('vips.edge', { role: 'etcd', zone: 'back', address: '10.0.0.180' })],
  'vips.*.zone': [nodes, set('vips', { api: { role: 'haproxy', zone: 'front', address: '10.0.0.52' } })],
  'vips.*.address': [nodes, set('vips.edge.address', '10.0.0.52')],
  'roles.*.zones': [nodes, set('roles.haproxy.zones', ['front', 'middle', 'home'])],
  'roles.*.addresses.*': [nodes, set('roles.haproxy.addresses.middle', '10.0.0.106-10.0.0.114')],
  'roles.*.default-route': [nodes, set('roles.haproxy.default-route', 'public')],
  'roles.*.cores': [nodes, set('roles.worker.cores', 3)],
  'roles.*.memory': [nodes, set('roles.worker.memory', 3000)],
  'roles.*.disk': [nodes, set('roles.worker.disk', 81)],
  'cluster.pods.cidr': [files, set('cluster.pods.cidr', '10.48.0.0/12')],
  'cluster.pods.interface': [files, set('cluster.pods.interface', 'cilium_host')],
  'cluster.services.cidr': [files, set('cluster.services.cidr', '10.112.0.0/12')],
  'cluster.nodePorts': [files, set('cluster.nodePorts', '30000-32000')],
  'flows.*.from': [files, set('flows.ssh.from', ['home', 'vault'])],
  'flows.*.to': [files, set('flows.ssh.to', ['haproxy'])],
  'flows.*.protocols': [files, set('flows.node-ports.protocols', ['tcp'])],
  'flows.*.ports': [files, set('flows.ssh.ports', [2222])],
  'flows.*.why': ['platform network and ports', set('flows.ssh.why', 'another reason')],
  'flows.*.enabled': [files, set('flows.weave-metrics.enabled', true)],
  'releases.builders': ['a promotion', set('releases.builders', 2)],
}

describe('each key of the platform file', () => {
  it('is in this list', () => {
    expect(Object.keys(arrivals).sort()).toEqual(
      leavesOf(z.toJSONSchema(platformSchema, { io: 'input' })).sort(),
    )
  })

  it.each(Object.entries(arrivals))('%s arrives', async (_, [place, change]) => {
    const file = parse(text)
    change(file)
    if (place === 'a refusal') {
      return expect(() => parsePlatform(stringify(file), 'platform.yaml')).toThrow('serve no VIP')
    }
    const changed = parsePlatform(stringify(file), 'platform.yaml')
    expect(await places[place](changed)).not.toBe(await places[place](parsePlatform(text, 'platform.yaml')))
  })
})

interface Schema {
  readonly properties?: Readonly<Record<string, unknown>>
  readonly additionalProperties?: unknown
}

/** The paths of a JSON schema's keys that hold no others; the keys of a record are `*`. */
function leavesOf(schema: unknown, path = ''): string[] {
  const { properties, additionalProperties } = schema as Schema
  const inside = (name: string) => (path === '' ? name : `${path}.${name}`)
  if (properties)
    return Object.entries(properties).flatMap(([name, schema]) => leavesOf(schema, inside(name)))
  if (typeof additionalProperties === 'object') return leavesOf(additionalProperties, inside('*'))
  return [path]
}
