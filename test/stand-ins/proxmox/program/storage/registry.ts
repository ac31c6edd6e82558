import { existsSync, readFileSync } from 'node:fs'
import { clusterFolder, requireCluster } from '../cluster.ts'
import { PveError } from '../failure.ts'
import { DirectoryStorage } from './directory.ts'
import type { Storage } from './storage.ts'
import { ThinPoolStorage } from './thin-pool.ts'
import { ZfsStorage } from './zfs.ts'

/** A section of `storage.cfg`. */
export interface StorageSection {
  readonly type: string
  readonly name: string
  readonly properties: Map<string, string>
}

/** What `storage.cfg` says. */
export function readStorageSections(): StorageSection[] {
  requireCluster()
  const sections: StorageSection[] = []
  for (const line of readFileSync(`${clusterFolder}/storage.cfg`, 'utf8').split('\n')) {
    const [, type, name] = /^(\w+): (\S+)$/.exec(line) ?? []
    if (type !== undefined && name !== undefined) sections.push({ type, name, properties: new Map() })
    const [, key, value = '1'] = /^\s+(\S+)(?:\s+(.*\S))?\s*$/.exec(line) ?? []
    if (key !== undefined) sections.at(-1)?.properties.set(key, value)
  }
  return sections
}

/** All storages. */
export function storages(): Storage[] {
  return readStorageSections().map(storageOf)
}

function storageOf({ type, name, properties }: StorageSection): Storage {
  const content = (properties.get('content') ?? '').split(',')
  if (type === 'lvmthin') return new ThinPoolStorage(name, properties.get('vgname') ?? '', content)
  if (type === 'zfspool') return new ZfsStorage(name, properties.get('pool') ?? '', content)
  return new DirectoryStorage(name, properties.get('path') ?? '', content)
}

/**
 * A storage by its name.
 * @throws PveError when there is none of this name
 */
export function storageNamed(name: string): Storage {
  const found = storages().find((one) => one.name === name)
  if (found === undefined) throw new PveError(`storage '${name}' does not exist`)
  return found
}

/**
 * Makes sure that a storage can be used, which one that a test has taken away cannot.
 * @throws PveError
 */
export function activate(storage: Storage): Storage {
  if (isGone(storage)) throw new PveError(goneMessage(storage))
  storage.activate()
  return storage
}

export function isGone(storage: Storage): boolean {
  return existsSync(`/run/stand-in/gone/${storage.name}`)
}

function goneMessage({ name, type }: Storage): string {
  if (type === 'lvmthin') return 'no such logical volume pve/data'
  if (type === 'zfspool') {
    return `could not activate storage '${name}', zfs error: cannot import 'rpool': no such pool available`
  }
  return `unable to activate storage '${name}' - directory is expected to be a mount point but is not mounted: '/var/lib/vz'`
}

/** The storage and the name of a volume. */
export interface VolumePlace {
  readonly storage: Storage
  readonly volume: string
}

/**
 * Where a volume is, by its id.
 * @throws PveError when it is no id, or there is no such storage
 */
export function placeOf(volid: string): VolumePlace {
  const [, name, volume] = /^([a-z][a-z0-9\-_.]*[a-z0-9]):(.+)$/i.exec(volid) ?? []
  if (name === undefined || volume === undefined) throw new PveError(`unable to parse volume ID '${volid}'`)
  return { storage: storageNamed(name), volume }
}

/** Whether a base volume has clones that need it, as far as its storage knows. */
export function isBaseInUse({ storage, volume }: VolumePlace): boolean {
  return storage.isBase(volume) && storage.list().some(({ parent }) => parent === `${storage.name}:${volume}`)
}
