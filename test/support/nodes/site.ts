import { join } from 'node:path'
import { type Guest, parseGuest } from '../../../src/host/guests.ts'
import type { HostFacts } from '../../../src/host/node/facts.ts'
import type { NodeEntry } from '../../../src/host/node/ledger.ts'
import type { NodeRequest } from '../../../src/host/node/request.ts'
import type { TemplateEntry } from '../../../src/host/templates.ts'
import { loadPlatform } from '../../../src/platform/load.ts'

/** The platform file that comes with the project. */
export const platform = await loadPlatform(join(import.meta.dirname, '../../../platform.yaml'))

const uuid = (vmid: number) => `00000000-0000-4000-8000-00000000${vmid}`

/** A guest with these settings. */
export function guest(vmid: number, settings: Record<string, string> = {}, more: Partial<Guest> = {}): Guest {
  const text = Object.entries(settings).map(([key, value]) => `${key}: ${value}\n`)
  return { ...parseGuest(text.join(''), { vmid, kind: 'qemu', node: 'pve1' }), ...more }
}

/** A template of ours as `scripts/deploy.sh` leaves it. */
export function template(vmid: number, image: string, settings: Record<string, string> = {}): Guest {
  return guest(vmid, {
    agent: 'enabled=1,fstrim_cloned_disks=1',
    boot: 'order=scsi0',
    ide2: `local:${vmid}/vm-${vmid}-cloudinit.qcow2,media=cdrom`,
    name: `${image}-template`,
    net0: 'virtio=BC:24:11:00:00:01,bridge=vmbr13,firewall=1',
    scsi0: `local:${vmid}/base-${vmid}-disk-1.qcow2,discard=on,size=4G`,
    smbios1: `uuid=${uuid(vmid)}`,
    tags: `current;${image};seeder`,
    template: '1',
    ...settings,
  })
}

/** The entry of a template. */
export function templateEntry(vmid: number, image: string, version = '3.7.2-1'): TemplateEntry {
  return { vmid, image, version, uuid: uuid(vmid), promoted: 1 }
}

/** An entry of a node. */
export function entry(name: string, changes: Partial<NodeEntry> = {}): NodeEntry {
  return {
    schema: 1,
    name,
    role: 'etcd',
    state: 'created',
    vmid: 201,
    token: 'a'.repeat(32),
    cloned: true,
    template: { vmid: 9001, version: '3.7.2-1' },
    addresses: { back: '10.0.0.129' },
    snippet: {
      volume: `local:snippets/seeder-${name}.yaml`,
      file: `/var/lib/vz/snippets/seeder-${name}.yaml`,
    },
    values: {},
    joins: false,
    ...changes,
  }
}

/** A host with a template of each image and nothing else. */
export function facts(changes: Partial<HostFacts> = {}): HostFacts {
  return {
    node: 'pve1',
    platform,
    guests: [template(9001, 'etcd'), template(9002, 'haproxy'), template(9003, 'kubernetes-node')],
    entries: [],
    templates: [
      templateEntry(9001, 'etcd'),
      templateEntry(9002, 'haproxy', '3.0.11-1'),
      templateEntry(9003, 'kubernetes-node', '1.37.1-1'),
    ],
    volumes: [],
    snippets: { storage: 'local', folder: '/var/lib/vz/snippets' },
    ...changes,
  }
}

/** A request with nothing special in it. */
export function request(
  names: readonly string[],
  role: NodeRequest['role'],
  more: Partial<NodeRequest> = {},
): NodeRequest {
  return {
    names,
    role,
    newCluster: false,
    vmids: { first: 200, last: 999 },
    full: false,
    storage: undefined,
    dataDisk: undefined,
    sshKeys: undefined,
    user: undefined,
    values: {},
    ...more,
  }
}
