import { join } from 'node:path'

/**
 * Folders of the stand-in host that hide the machine's own: what is in them is only what the host put there. They are
 * plain folders of the state folder, so they can be read and written from outside at any time.
 */
export const ownFolders: readonly string[] = [
  '/etc/pve',
  '/var/lib/vz',
  '/dev/pve',
  '/dev/zvol',
  // Root's own folder is closed to anybody else, be he root of his host. Root may have this project in it.
  ...(process.getuid?.() === 0 ? [] : ['/root']),
]

/** Folders in which the host sees the machine's files, and its own changes lie over them. */
export const layeredFolders = ['/etc', '/var/lib', '/var/log', '/usr/sbin', '/usr/bin'] as const

/** Inside the host: where the stand-ins find their faults and write down their calls. */
export const controlMount = '/run/stand-in'

/** Inside the host: what is in /etc/pve, whether it is mounted there or not. */
export const clusterMount = '/run/stand-in-cluster'

/** Where the parts of a host are in its state folder. */
export class Layout {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /** Settings of the host, as JSON. */
  get settings(): string {
    return join(this.folder, 'host.json')
  }

  /** What makes fresh namespaces the host. */
  get script(): string {
    return join(this.folder, 'start.sh')
  }

  /** The folder that is `controlMount` inside. */
  get control(): string {
    return join(this.folder, 'control')
  }

  /** A FIFO: the host ends when a byte is written to it, or when nobody has it open any more. */
  get power(): string {
    return join(this.control, 'power')
  }

  /** The process that holds the namespaces, as the machine counts it. */
  get holder(): string {
    return join(this.control, 'holder')
  }

  /** A place to put /dev together. */
  get devices(): string {
    return join(this.folder, 'devices')
  }

  own(path: string): string {
    return join(this.folder, 'own', plainName(path))
  }

  upper(path: string): string {
    return join(this.folder, 'layers', plainName(path), 'upper')
  }

  work(path: string): string {
    return join(this.folder, 'layers', plainName(path), 'work')
  }

  /** Where a path of the host lies on the machine, whether the host runs or not; undefined for what is the machine's. */
  stored(path: string): string | undefined {
    const own = ownFolders.find((folder) => isBelow(path, folder))
    if (own !== undefined) return join(this.own(own), path.slice(own.length))
    if (isBelow(path, controlMount)) return join(this.control, path.slice(controlMount.length))
    const layered = layeredFolders.find((folder) => isBelow(path, folder))
    return layered === undefined ? undefined : join(this.upper(layered), path.slice(layered.length))
  }
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`)
}

/** `/var/lib` → `var-lib`. */
function plainName(path: string): string {
  return path.slice(1).replaceAll('/', '-')
}
