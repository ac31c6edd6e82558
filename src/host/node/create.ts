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
 * Makes the VMs of plans, complete but not started. A failure undoes all of them.
 */
export async function prepareNodes(work: NodeWork, plans: readonly NodePlan[]): Promise<void> {
  try {
    // The addresses of all are reserved before the first VM is made: the values of each may name the others.
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
      // Another VM has taken the id meanwhile; undoing must not touch it.
      if (/: config file already exists$/.test(describeError(error))) await work.ledger.write(entry)
      throw error
    })
  }
}

/** Undoes plans after a failure. @throws SeederError that names what could not be undone */
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
 * Starts nodes whose VMs are complete, unless they run already.
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
    // `qm start` of a killed run may still be running.
    await awaitIdle(work.host, entry.vmid)
    if (await isRunning(work.host, entry.vmid)) continue
    work.note(`${entry.name}: start VM ${entry.vmid}`)
    await work.host.output(['qm', 'start', String(entry.vmid)], { outlives: true })
  }
}

/** Waits until nodes are ready. Returns the status of each, by name. */
export async function awaitNodes(
  work: NodeWork,
  entries: readonly NodeEntry[],
  timeoutMs: number,
): Promise<Map<string, string>> {
  const statuses = new Map<string, string>()
  for (const entry of entries) {
    const status = await awaitReady(work.host, entry, timeoutMs)
    statuses.set(entry.name, status)
    work.note(`${entry.name}: ready: ${status}`)
  }
  return statuses
}

/** Marks nodes as done, and forgets the founders of their cluster. */
export async function finishNodes(work: NodeWork, entries: readonly NodeEntry[]): Promise<void> {
  for (const { founders: _over, ...entry } of entries) {
    await work.ledger.write({ ...entry, cloned: true, state: 'created' })
  }
}

/** Whether nodes are started, and how long to wait for them. */
export interface MakeOptions {
  readonly platform: Platform
  readonly start: boolean
  readonly timeoutMs: number
}

/**
 * Makes the nodes of a request, and waits until they serve. It may be killed at any point, and called again with a new
 * plan.
 * @returns all nodes of the request, and the status of each, by name
 * @throws SeederError that names what is left
 */
export async function makeNodes(
  work: NodeWork,
  { plans, waiting, done }: RequestPlan,
  { platform, start, timeoutMs }: MakeOptions,
): Promise<{ entries: readonly NodeEntry[]; statuses: ReadonlyMap<string, string> }> {
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
    return { entries: [...done, ...waiting, ...made], statuses: new Map() }
  }
  const pending = [...waiting, ...made]
  const statuses = await reportLeftoversOnStop(pending, async () => {
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
  return { entries: [...done, ...pending], statuses }
}

/** Runs work that is not undone when it is stopped: VMs that were started stay. */
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
