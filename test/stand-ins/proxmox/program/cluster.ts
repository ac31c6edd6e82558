import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { PveError } from './failure.ts'

/** Where pmxcfs is. */
export const clusterFolder = '/etc/pve'

/** Whether pmxcfs runs: without it /etc/pve is an empty folder. */
export function isClusterThere(): boolean {
  return existsSync(`${clusterFolder}/local`)
}

/**
 * Refuses what needs pmxcfs when that does not run.
 * @throws PveError
 */
export function requireCluster(): void {
  if (!isClusterThere()) throw new PveError('ipcc_send_rec[1] failed: Connection refused', 255)
}

/** This node's name. */
export function nodeName(): string {
  requireCluster()
  return readlinkSync(`${clusterFolder}/local`).replace(/^nodes\//, '')
}

/** A VM's configuration, relative to the cluster's folder. */
export function configPath(vmid: number): string {
  return `nodes/${nodeName()}/qemu-server/${vmid}.conf`
}

/**
 * The text of a VM's configuration.
 * @throws PveError when there is none on this node
 */
export function readConfigText(vmid: number, status = 2): string {
  const path = configPath(vmid)
  try {
    return readFileSync(`${clusterFolder}/${path}`, 'utf8')
  } catch {
    throw new PveError(`Configuration file '${path}' does not exist`, status)
  }
}

/** Writes a file of the cluster's as a whole: nobody sees half of it, not even after a power cut. */
export function writeClusterFile(path: string, text: string): void {
  requireCluster()
  const file = `${clusterFolder}/${path}`
  const temporary = `${file}.tmp.${process.pid}`
  writeFileSync(temporary, text, { mode: 0o640 })
  renameSync(temporary, file)
}

/** The VMs of a node, in ascending order. */
export function vmsOf(node: string): number[] {
  const folder = `${clusterFolder}/nodes/${node}/qemu-server`
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .flatMap((name) => /^(\d+)\.conf$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

/** Every node's name. */
export function nodeNames(): string[] {
  requireCluster()
  return readdirSync(`${clusterFolder}/nodes`).sort()
}

/** The node that has a VM, if any. */
export function nodeOf(vmid: number): string | undefined {
  return nodeNames().find((node) => existsSync(`${clusterFolder}/nodes/${node}/qemu-server/${vmid}.conf`))
}

/** Makes a folder, and those above it, unless it is there. */
export function ensureFolder(path: string): void {
  mkdirSync(path, { recursive: true })
}
