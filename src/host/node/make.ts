import type { Platform } from '../../platform/schema.ts'
import { interruption } from '../../process/interruption.ts'
import { StoppedError, UsageError } from '../../report/error.ts'
import { awaitNodes, finishNodes, prepareNodes, startNodes } from './create.ts'
import { awaitHealth } from './etcd.ts'
import type { NodeEntry } from './ledger.ts'
import { becomeVoter, joinCluster } from './membership.ts'
import { updatePeers } from './peers.ts'
import type { RequestPlan } from './plan-request.ts'
import type { NodeWork } from './recover.ts'

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
