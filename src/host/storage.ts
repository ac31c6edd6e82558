import { SeederError, UsageError } from '../report/error.ts'
import type { Host } from './commands.ts'

/** A disk of a storage. */
export interface Volume {
  readonly id: string
  readonly bytes: number
  /** The guest that it belongs to, by its name. */
  readonly vmid: number
}

/** A storage that is active on this node. */
export interface Storage {
  readonly name: string
  readonly type: string
}

/** The active storages in the output of `pvesm status`. */
export function parseStorages(text: string): Storage[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', type = '', status] = line.trim().split(/\s+/)
    return status === 'active' ? [{ name, type }] : []
  })
}

/** The volumes in the output of `pvesm list` that belong to a guest. */
export function parseVolumes(text: string): Volume[] {
  return text.split('\n').flatMap((line) => {
    const [, id = '', bytes, vmid] = /^(\S+)\s+\S+\s+(?:images|rootdir)\s+(\d+)\s+(\d+)\s*$/.exec(line) ?? []
    return id === '' ? [] : [{ id, bytes: Number(bytes), vmid: Number(vmid) }]
  })
}

/** The inactive storages in the output of `pvesm status`. */
export function parseInactive(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , status] = line.trim().split(/\s+/)
    return status === 'inactive' ? [name] : []
  })
}

/**
 * Every guest's volume on the storages of this node that hold disks of VMs or containers, as deploy.sh looks for them.
 * @throws SeederError when one of them is inactive: its volumes are unknown
 */
export async function readVolumes(host: Host): Promise<Volume[]> {
  const names = new Set<string>()
  for (const content of ['images', 'rootdir']) {
    const status = await host.output(['pvesm', 'status', '--content', content])
    const [inactive] = parseInactive(status)
    if (inactive !== undefined) {
      throw new SeederError(`The disks on all storages were looked for; ${inactive} is inactive`, {
        fix: `see pvesm status, and make it active; or, if it is not to be used: pvesm set ${inactive} --disable 1`,
      })
    }
    for (const { name } of parseStorages(status)) names.add(name)
  }
  const found: Volume[] = []
  for (const name of names) found.push(...parseVolumes(await host.output(['pvesm', 'list', name])))
  return found
}

/**
 * Chooses the storage for snippets: the named one, else the only one, else `local`.
 * @throws UsageError when the named one holds no snippets, or when several do and none is named
 */
export function chooseSnippetStorage(storages: readonly Storage[], named: string | undefined): string {
  const names = storages.map(({ name }) => name)
  const fix =
    'allow it on one, as in: pvesm set local --content images,snippets,… (all that it holds already, too)'
  if (named !== undefined) {
    if (names.includes(named)) return named
    throw new UsageError(`The storage ${named} holds no snippets on this host`, {
      fix: names.length > 0 ? `use one of ${names.join(', ')}` : fix,
    })
  }
  if (names.length === 0) throw new SeederError('No storage of this host holds snippets', { fix })
  const [only] = names
  if (names.length === 1 && only !== undefined) return only
  if (names.includes('local')) return 'local'
  throw new UsageError(`Several storages hold snippets: ${names.join(', ')}`, {
    fix: 'choose one with --snippets',
  })
}
