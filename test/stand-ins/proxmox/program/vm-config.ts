import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { clusterFolder, configPath, readConfigText, requireCluster, writeClusterFile } from './cluster.ts'
import { PveError } from './failure.ts'

/** A VM's configuration, or one of its snapshots. */
export interface VmConfig {
  values: Map<string, string>
  snapshots: Map<string, Map<string, string>>
}

export function emptyConfig(): VmConfig {
  return { values: new Map(), snapshots: new Map() }
}

/** Encodes what would not stay on one line, and what is not ASCII, as `%XX` per byte. */
export function encodeText(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      byte < 0x20 || byte > 0x7e || byte === 0x25 || byte === 0x3a
        ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
        : String.fromCharCode(byte),
    )
    .join('')
}

export function decodeText(text: string): string {
  return decodeURIComponent(text.replace(/%(?![0-9A-Fa-f]{2})/g, '%25'))
}

/** Reads the text of a `.conf`. The description has its line breaks, and is not encoded. */
export function parseConfig(text: string): VmConfig {
  const config = emptyConfig()
  let values = config.values
  const description: string[] = []
  for (const line of text.split('\n')) {
    const section = /^\[([^\]]+)\]\s*$/.exec(line)?.[1]
    if (section !== undefined) {
      values = new Map()
      config.snapshots.set(section, values)
    } else if (line.startsWith('#')) {
      if (values === config.values) description.push(decodeText(line.slice(1)))
    } else {
      // As lazily as Proxmox VE: a value of nothing but blanks keeps one of them.
      const [, key, value] = /^([a-z][a-z_-]*\d*):\s*(.+?)\s*$/.exec(line) ?? []
      if (key !== undefined && value !== undefined) values.set(key, value)
    }
  }
  if (description.length > 0) config.values.set('description', description.join('\n'))
  return config
}

/** The text of a `.conf`. */
export function formatConfig(config: VmConfig): string {
  const { values, snapshots } = config
  const description = values.get('description')
  const lines = [
    ...(description === undefined ? [] : description.replace(/\n$/, '').split('\n')).map(
      (line) => `#${encodeText(line)}\n`,
    ),
    ...sortedLines(values),
    ...[...snapshots]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([name, one]) => [`\n[${name}]\n`, ...sortedLines(one)]),
  ]
  return lines.join('')
}

function sortedLines(values: ReadonlyMap<string, string>): string[] {
  return [...values]
    .filter(([key]) => key !== 'description')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}: ${value}\n`)
}

/**
 * A VM's configuration.
 * @throws PveError when this node has no such VM
 */
export function loadConfig(vmid: number, status?: number): VmConfig {
  return parseConfig(readConfigText(vmid, status))
}

export function writeConfig(vmid: number, config: VmConfig): void {
  writeClusterFile(configPath(vmid), formatConfig(config))
}

export function removeConfig(vmid: number): void {
  requireCluster()
  rmSync(`${clusterFolder}/${configPath(vmid)}`, { force: true })
}

/** What the interface of a cluster's API calls the state of a configuration. */
export function digestOf(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

/**
 * Refuses work on a VM that is locked.
 * @throws PveError
 */
export function checkLock(config: VmConfig): void {
  const lock = config.values.get('lock')
  if (lock !== undefined) throw new PveError(`VM is locked (${lock})`)
}
