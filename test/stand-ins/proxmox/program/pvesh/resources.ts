import { existsSync, readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { clusterFolder, nodeName, nodeNames, nodeOf, readConfigText, vmsOf } from '../cluster.ts'
import { ParameterError } from '../failure.ts'
import type { Call } from '../getopt.ts'
import { shownValues, vmStatus } from '../qm/show.ts'
import { activate, isGone, storageNamed, storages } from '../storage/registry.ts'
import type { Storage } from '../storage/storage.ts'
import { digestOf, parseConfig } from '../vm-config.ts'
import { vmOption } from '../vm-options.ts'
import { listTasks } from './tasks.ts'

type Groups = Readonly<Record<string, string>>

interface Query {
  readonly pattern: RegExp
  answer(groups: Groups, call: Call): unknown
}

interface Action {
  readonly pattern: RegExp
  act(call: Call, onStart: (upid: string) => void): Promise<void>
}

/** The paths that pvesh knows. */
export const queries: readonly Query[] = [
  {
    pattern: /^\/version$/,
    answer: () => ({ release: '9.2', repoid: 'harness', version: '9.2.11' }),
  },
  { pattern: /^\/cluster\/nextid$/, answer: (_, { values }) => nextId(values.get('vmid')) },
  { pattern: /^\/cluster\/resources$/, answer: (_, { values }) => clusterResources(values.get('type')) },
  {
    pattern: /^\/nodes$/,
    answer: () => nodeNames().map((node) => ({ node, id: `node/${node}`, type: 'node', status: 'unknown' })),
  },
  {
    pattern: /^\/nodes\/[^/]+\/qemu$/,
    answer: () => vmsOf(nodeName()).map((vmid) => vmStatus(vmid)),
  },
  { pattern: /^\/nodes\/[^/]+\/qemu\/(?<vmid>\d+)\/config$/, answer: ({ vmid }) => vmConfig(Number(vmid)) },
  {
    pattern: /^\/nodes\/[^/]+\/qemu\/(?<vmid>\d+)\/status\/current$/,
    answer: ({ vmid }) => {
      const status = vmStatus(Number(vmid))
      return { ...status, qmpstatus: status.status, ha: { managed: 0 } }
    },
  },
  { pattern: /^\/nodes\/[^/]+\/storage$/, answer: () => storages().map(storageStatus) },
  {
    pattern: /^\/nodes\/[^/]+\/storage\/(?<name>[^/]+)\/status$/,
    answer: ({ name = '' }) => storageStatus(storageNamed(name)),
  },
  {
    pattern: /^\/nodes\/[^/]+\/storage\/(?<name>[^/]+)\/content$/,
    answer: ({ name = '' }, { values }) => storageContent(name, values),
  },
  { pattern: /^\/nodes\/[^/]+\/network$/, answer: () => bridges() },
  {
    pattern: /^\/nodes\/[^/]+\/tasks$/,
    answer: (_, { values }) => listTasks(Number(values.get('limit') ?? 50), values.get('vmid')),
  },
]

/** What can be done. */
export const actions: readonly Action[] = [
  {
    pattern: /^\/nodes\/[^/]+\/qemu$/,
    act: async (call, onStart) => (await import('../qm/create.ts')).create(call, onStart),
  },
  {
    pattern: /^\/nodes\/[^/]+\/qemu\/(?<vmid>\d+)\/template$/,
    act: async (call, onStart) => (await import('../qm/template.ts')).template(call, onStart),
  },
  {
    pattern: /^\/nodes\/[^/]+\/qemu\/(?<vmid>\d+)\/clone$/,
    act: async (call, onStart) => (await import('../qm/clone.ts')).clone(call, onStart),
  },
]

function nextId(wanted: string | undefined): string {
  if (wanted !== undefined) {
    if (nodeOf(Number(wanted)) !== undefined)
      throw new ParameterError({ vmid: `VM ${wanted} already exists` })
    return wanted
  }
  for (let vmid = 100; ; vmid++) if (nodeOf(vmid) === undefined) return String(vmid)
}

/** What a cluster knows without the daemon that gathers states, which the recorded host did not have either. */
function clusterResources(type: string | undefined): object[] {
  const vms = nodeNames().flatMap((node) =>
    vmsOf(node).map((vmid) => {
      const text = readFileSync(`${clusterFolder}/nodes/${node}/qemu-server/${vmid}.conf`, 'utf8')
      const tags = parseConfig(text).values.get('tags')
      const common = { id: `qemu/${vmid}`, node, status: 'unknown', type: 'qemu', vmid }
      return tags === undefined ? common : { ...common, tags }
    }),
  )
  if (type === 'vm') return vms
  const nodes = nodeNames().map((node) => ({ id: `node/${node}`, node, status: 'unknown', type: 'node' }))
  const stores = nodeNames().flatMap((node) =>
    storages().map((storage) => ({
      content: storage.content.join(','),
      id: `storage/${node}/${storage.name}`,
      node,
      shared: 0,
      plugintype: storage.type,
      status: 'unknown',
      storage: storage.name,
      type: 'storage',
    })),
  )
  const zones = nodeNames().map((node) => ({
    id: `network/${node}/zone/localnetwork`,
    network: 'localnetwork',
    'network-type': 'zone',
    node,
    status: 'ok',
    type: 'network',
  }))
  if (type === 'node') return nodes
  if (type === 'storage') return stores
  return [...vms, ...nodes, ...stores, ...zones]
}

function vmConfig(vmid: number): Record<string, string | number> {
  const values = shownValues(vmid).map(([key, value]): [string, string | number] => {
    const type = vmOption(key)?.type
    return [key, type === undefined || type === 'string' ? value : Number(value)]
  })
  return { ...Object.fromEntries(values), digest: digestOf(readConfigText(vmid)) }
}

function storageStatus(storage: Storage): object {
  const common = {
    content: storage.content.join(','),
    enabled: 1,
    shared: 0,
    storage: storage.name,
    type: storage.type,
  }
  if (isGone(storage)) return { ...common, active: 0 }
  const { total, used, available } = activate(storage).status()
  return {
    ...common,
    active: 1,
    avail: available,
    total,
    used,
    used_fraction: total === 0 ? 0 : used / total,
  }
}

function storageContent(name: string, values: ReadonlyMap<string, string>): object[] {
  const content = values.get('content')
  const owner = values.get('vmid')
  return activate(storageNamed(name))
    .list()
    .filter((one) => content === undefined || one.content === content)
    .filter((one) => owner === undefined || one.vmid === Number(owner))
    .map(({ volid, format, content, size, vmid, ctime, used, parent }) => ({
      content,
      ctime,
      format,
      size,
      volid,
      ...(vmid === undefined ? {} : { parent: parent ?? null, used, vmid }),
    }))
}

function bridges(): object[] {
  const found = networkInterfaces()
  const text = readFileSync('/proc/net/dev', 'utf8')
  const names = [...text.matchAll(/^\s*(\w+):/gm)].map(([, name = '']) => name)
  return names
    .filter((name) => existsSync(`/sys/class/net/${name}/bridge`))
    .map((iface, index) => {
      const address = found[iface]?.find(({ family }) => family === 'IPv4')
      return {
        active: 1,
        autostart: 1,
        bridge_fd: '0',
        bridge_ports: '',
        bridge_stp: 'off',
        families: ['inet'],
        iface,
        method: address === undefined ? 'manual' : 'static',
        method6: 'manual',
        ...(address === undefined
          ? {}
          : {
              address: address.address,
              cidr: address.cidr,
              netmask: address.cidr?.split('/')[1] ?? '32',
            }),
        priority: index + 3,
        type: 'bridge',
      }
    })
}
