import type { Platform } from '../../platform/schema.ts'
import { interruption } from '../../process/interruption.ts'
import { describeError, SeederError, StoppedError, UsageError } from '../../report/error.ts'
import { awaitHealth, becomeVoter, joinCluster } from './etcd.ts'
import { awaitReady } from './guest.ts'
import type { NodeEntry } from './ledger.ts'
import { awaitIdle, findMachine, isRunning, runPlanned } from './machine.ts'
import { updatePeers } from './peers.ts'
import type { NodePlan } from './plan.ts'
import type { RequestPlan } from './plan-request.ts'
import { type NodeWork, removeNode } from './recover.ts'
import { writeSnippet } from './snippet.ts'

/**
 * Makes the VMs of plans, complete but never started. Either all of them are there when this returns, or none: a failure
 * is undone.
 */
export async function prepareNodes(work: NodeWork, plans: readonly NodePlan[]): Promise<void> {
  try {
    // All addresses are kept before the first node gets one, as each of them may know the others'.
    for (const { entry } of plans) await work.ledger.write(entry)
    for (const plan of plans) await prepareNode(work, plan)
  } catch (error) {
    await undoPrepared(work, plans, error)
    throw error
  }
}

async function prepareNode(work: NodeWork, { entry, snippet, prepare }: NodePlan): Promise<void> {
  work.note(`${entry.name}: clone ${entry.vmid} of template ${entry.template.vmid}`)
  await writeSnippet(entry, snippet)
  await work.ledger.write({ ...entry, cloned: true })
  for (const command of prepare) {
    interruption.throwIfAborted()
    await runPlanned(work.host, command, entry.vmid, work.node).catch(async (error: unknown) => {
      // Somebody took the id in the meantime: what has it is not ours to undo.
      if (/: config file already exists$/.test(describeError(error))) await work.ledger.write(entry)
      throw error
    })
  }
}

/** After a failure: what stays because it could not be undone is in the error. */
async function undoPrepared(work: NodeWork, plans: readonly NodePlan[], error: unknown): Promise<void> {
  const failures: string[] = []
  const entries = await work.ledger.read()
  for (const { entry } of plans) {
    const now = entries.find(({ name }) => name === entry.name)
    if (!now) continue
    await removeNode(work, now, false).catch((failure: unknown) => failures.push(describeError(failure)))
  }
  if (failures.length === 0) return
  throw new SeederError(`${describeError(error)}\nIt could not be undone: ${failures.join('; ')}`, {
    fix: 'mend that; the next run of `seeder node create` or `destroy` undoes the rest',
    cause: error,
  })
}

/**
 * Starts nodes whose VMs are complete; one that runs already is fine.
 * @throws SeederError for the first that does not start; the VMs stay
 */
export async function startNodes(work: NodeWork, entries: readonly NodeEntry[]): Promise<void> {
  for (const entry of entries) {
    interruption.throwIfAborted()
    await work.ledger.write({ ...entry, cloned: true, state: 'starting' })
    const { is } = await findMachine({ ...entry, cloned: true, state: 'starting' }, work.node)
    if (is !== 'ours') {
      throw new SeederError(`${entry.name} cannot be started: VM ${entry.vmid} is ${is}`, {
        fix: `remove what is left of it, and create it again: seeder node destroy ${entry.name}`,
      })
    }
    // A start whose run was killed goes on by itself.
    await awaitIdle(work.host, entry.vmid)
    if (await isRunning(work.host, entry.vmid)) continue
    work.note(`${entry.name}: start VM ${entry.vmid}`)
    await work.host.output(['qm', 'start', String(entry.vmid)], { outlives: true })
  }
}

/** Waits until nodes are ready, and marks them as done. What each says, by name. */
export async function awaitNodes(
  work: NodeWork,
  entries: readonly NodeEntry[],
  timeoutMs: number,
): Promise<Map<string, string>> {
  const said = new Map<string, string>()
  for (const entry of entries) {
    said.set(entry.name, await awaitReady(work.host, entry, timeoutMs))
    work.note(`${entry.name}: ready: ${said.get(entry.name)}`)
  }
  return said
}

/** Marks nodes as done; what they were founded with is over. */
export async function finishNodes(work: NodeWork, entries: readonly NodeEntry[]): Promise<void> {
  for (const { founders: _over, ...entry } of entries) {
    await work.ledger.write({ ...entry, cloned: true, state: 'created' })
  }
}

/** How far making goes, and how long it waits. */
export interface MakeOptions {
  readonly platform: Platform
  readonly start: boolean
  readonly timeoutMs: number
}

/**
 * Makes the nodes of a request, and waits until they do what they are for. It may be killed at any point, and called
 * again with what is planned then.
 * @returns all nodes of the request, and what each says of itself, by name
 * @throws SeederError; what is left then is in it
 */
export async function makeNodes(
  work: NodeWork,
  { plans, waiting, done }: RequestPlan,
  { platform, start, timeoutMs }: MakeOptions,
): Promise<{ entries: readonly NodeEntry[]; said: ReadonlyMap<string, string> }> {
  const made = plans.map(({ entry }) => entry)
  const joining = [...made, ...waiting].find(({ joins }) => joins)
  if (joining && !start) {
    throw new UsageError(
      `${joining.name} cannot be made without being started: its cluster would wait for it`,
      {
        fix: 'leave --no-start out',
      },
    )
  }
  await prepareNodes(work, plans)
  if (made.some(({ role }) => role === 'haproxy')) await updatePeers(work, platform, timeoutMs)
  if (!start) {
    await finishNodes(work, made)
    return { entries: [...done, ...waiting, ...made], said: new Map() }
  }
  const pending = [...waiting, ...made]
  const said = await reportLeftoversOnStop(pending, async () => {
    if (joining) await joinCluster(work, joining, undefined, timeoutMs)
    await startNodes(work, pending)
    const ready = await awaitNodes(work, pending, timeoutMs)
    if (joining) await becomeVoter(work, joining, undefined, timeoutMs)
    else
      for (const entry of pending.filter(({ role }) => role === 'etcd'))
        await awaitHealth(work.host, entry, timeoutMs)
    return ready
  })
  await finishNodes(work, pending)
  return { entries: [...done, ...pending], said }
}

/** Runs what is not undone when it is stopped: VMs that have begun to run are left as they are. */
export async function reportLeftoversOnStop<T>(
  entries: readonly NodeEntry[],
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run()
  } catch (cause) {
    if (!interruption.aborted) throw cause
    const what = entries.map(({ name, vmid }) => `${name} (VM ${vmid})`).join(', ')
    throw new StoppedError(`Stopped. These are left as they are: ${what}`, {
      fix: 'run the same command again to go on, or: seeder node destroy NAME --force',
      cause,
    })
  }
}
