import { join } from 'node:path'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { inventory, mustDeploy, startHost } from './host.ts'

/** A host on which some commands of deploy.sh have run, switched off. Tests get copies, which are made faster. */
export class PreparedHost {
  /** What is on it. */
  readonly inventory: string
  private readonly host: PveHost
  private readonly later: PreparedHost[] = []
  private count = 0

  private constructor(host: PveHost, found: string) {
    this.host = host
    this.inventory = found
  }

  /**
   * @param folder a new one: the host's, and beside it those of its copies
   * @param commands command lines of deploy.sh, which have to succeed
   */
  static async make(folder: string, ...commands: readonly (readonly string[])[]): Promise<PreparedHost> {
    return PreparedHost.from(await startHost(folder), commands)
  }

  /** One with more commands run on it. */
  async and(...commands: readonly (readonly string[])[]): Promise<PreparedHost> {
    const made = await PreparedHost.from(await this.start(), commands)
    this.later.push(made)
    return made
  }

  private static async from(host: PveHost, commands: readonly (readonly string[])[]): Promise<PreparedHost> {
    for (const argv of commands) await mustDeploy(host, argv)
    const found = await inventory(host)
    await host.stop()
    return new PreparedHost(host, found)
  }

  /** A copy that runs. Whoever has it removes it. */
  async start(): Promise<PveHost> {
    const copy = await this.host.copy(join(`${this.host.folder} copies`, String(this.count++)))
    await copy.start()
    return copy
  }

  /** Removes it, and those that were made of it. */
  async remove(): Promise<void> {
    for (const made of this.later) await made.remove()
    await this.host.remove()
  }
}
