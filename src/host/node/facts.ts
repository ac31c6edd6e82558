import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Platform } from '../../platform/schema.ts'
import { SeederError } from '../../report/error.ts'
import type { Host } from '../commands.ts'
import { type Guest, PVE_FOLDER, readGuests } from '../guests.ts'
import { chooseSnippetStorage, parseStorages, readVolumes, type Volume } from '../storage.ts'
import { readTemplateEntries, type TemplateEntry } from '../templates.ts'
import type { Ledger, NodeEntry } from './ledger.ts'

/** The state of the host, read once before anything is decided. */
export interface HostFacts {
  /** This Proxmox node's name. */
  readonly node: string
  readonly platform: Platform
  readonly guests: readonly Guest[]
  readonly entries: readonly NodeEntry[]
  readonly templates: readonly TemplateEntry[]
  readonly volumes: readonly Volume[]
  /** The storage for vendor data, and its folder. */
  readonly snippets: { readonly storage: string; readonly folder: string }
}

/**
 * The name of this Proxmox node.
 * @throws SeederError where there is no Proxmox VE
 */
export function proxmoxNode(pve = PVE_FOLDER): string {
  const [name = ''] = hostname().split('.')
  if (existsSync(join(pve, 'nodes', name))) return name
  throw new SeederError(`This is not a Proxmox VE host: there is no ${pve}/nodes/${name}`, {
    fix: 'run it on a Proxmox VE host; there, see whether pve-cluster runs',
  })
}

/** Reads the state of the host. `named` is the storage for snippets that the operator named. */
export async function readFacts(
  host: Host,
  ledger: Ledger,
  platform: Platform,
  named: string | undefined,
): Promise<HostFacts> {
  const node = proxmoxNode()
  const storages = parseStorages(await host.output(['pvesm', 'status', '--content', 'snippets']))
  const storage = chooseSnippetStorage(storages, named)
  return {
    node,
    platform,
    guests: await readGuests(),
    entries: await ledger.read(),
    templates: await readTemplateEntries(),
    volumes: await readVolumes(host),
    snippets: { storage, folder: await snippetFolder(host, storage) },
  }
}

async function snippetFolder(host: Host, storage: string): Promise<string> {
  const path = (await host.output(['pvesm', 'path', `${storage}:snippets/x.yaml`])).trim()
  if (!path.startsWith('/') || !path.endsWith('/x.yaml')) {
    throw new SeederError(`The storage ${storage} does not say where its snippets are: "${path}"`, {
      fix: 'choose another one with --snippets',
    })
  }
  return path.slice(0, -'/x.yaml'.length)
}
