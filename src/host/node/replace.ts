import { words } from '../../guest/node-env.ts'
import { roles } from '../../platform/roles.ts'
import type { Platform } from '../../platform/schema.ts'
import { SeederError, UsageError } from '../../report/error.ts'
import { awaitNodes, finishNodes, prepareNodes, startNodes } from './create.ts'
import { requireEntry } from './destroy.ts'
import { becomeVoter, joinCluster, leaveCluster } from './etcd.ts'
import { awaitReady, guestOutput } from './guest.ts'
import { mainAddress, type NodeEntry } from './ledger.ts'
import { findMachine } from './machine.ts'
import { updatePeers } from './peers.ts'
import { entriesOf, type RequestPlan } from './plan-request.ts'
import { type NodeWork, removeNode } from './recover.ts'

/** A node that replaces another one. */
export interface Replacement {
  readonly platform: Platform
  /** The node to remove; undefined when an earlier run has removed it. */
  readonly old: NodeEntry | undefined
  /** The plan for the new node. */
  readonly plan: RequestPlan
  /** The operator confirms that no pods are left on the old node. */
  readonly drained: boolean
  readonly timeoutMs: number
  /** Whether a node was made from another template than the current one. */
  readonly isBehind: (entry: NodeEntry) => boolean
}

/** How far the replacement went, and what the operator has to do next. */
export interface ReplacementOutcome {
  readonly oldIsGone: boolean
  readonly hints: readonly string[]
}

/**
 * Replaces a node: makes the new one and, once it is healthy, removes the old one. It may be killed at any point, and
 * called again.
 */
export async function replaceNode(work: NodeWork, replacement: Replacement): Promise<ReplacementOutcome> {
  const { platform, plan, old, timeoutMs } = replacement
  await prepareNodes(work, plan.plans)
  const [entry] = entriesOf(plan)
  if (!entry) throw new SeederError('There is no node to take the place of the old one')
  if (plan.done.length === 0) {
    await joinServices(work, replacement, entry)
    await startNodes(work, [entry])
    await awaitNodes(work, [entry], timeoutMs)
  }
  await awaitService(work, replacement, entry)
  await finishNodes(work, [entry])
  if (old && roles[old.role].runsPods && !replacement.drained)
    return { oldIsGone: false, hints: drainHints(old, entry) }
  if (old) {
    if (old.role === 'etcd') await leaveCluster(work, entry, old, timeoutMs)
    await removeNode(work, requireEntry(await work.ledger.read(), old.name), true, true)
    work.note(`${old.name} is gone: VM ${old.vmid}, its disks and its vendor data`)
  }
  if (entry.role === 'haproxy') await updatePeers(work, platform, timeoutMs)
  const { replaces, ...alone } = entry
  await finishNodes(work, [alone])
  return { oldIsGone: true, hints: hints(entry, replaces ?? '') }
}

/**
 * Checks a replacement before anything is made.
 * @throws UsageError when the node cannot be replaced now
 */
export async function checkReplacement(
  work: NodeWork,
  { platform, old, isBehind }: Pick<Replacement, 'platform' | 'isBehind'> & { readonly old: NodeEntry },
): Promise<void> {
  const { is, guest } = await findMachine(old, work.node)
  if (is === 'foreign' || is === 'elsewhere') {
    const found = is === 'foreign' ? 'is not it any more' : `is on ${guest?.node}`
    throw new UsageError(`${old.name} cannot be replaced here: VM ${old.vmid} ${found}`, {
      fix: 'see: seeder node list',
    })
  }
  if (old.role !== 'haproxy' || is !== 'ours' || !isBehind(old)) return
  const entries = await work.ledger.read()
  const late = entries.find((entry) => {
    const { name, role, state } = entry
    return role === 'haproxy' && state !== 'destroying' && name !== old.name && isBehind(entry)
  })
  if (late && (await holdsVips(work, platform, old))) {
    throw new UsageError(`${old.name} holds the VIPs, and ${late.name} is behind the current template, too`, {
      fix: `replace the backup first: seeder node replace ${late.name} --with NAME`,
    })
  }
}

async function holdsVips(work: NodeWork, platform: Platform, entry: NodeEntry): Promise<boolean> {
  const ownVips = words(entry.values.VIP).map((vip) => vip.split('/')[0] ?? '')
  const siteVips = Object.values(platform.vips).map(({ address }) => address)
  const show = ['/usr/bin/ip', '-4', '-o', 'address', 'show'] as const
  const shown = await guestOutput(work.host, entry.vmid, show).catch(() => '')
  return [...ownVips, ...siteVips].some((vip) => shown.includes(` inet ${vip}/`))
}

/** Makes the new node known to its cluster or its peers before it starts. */
async function joinServices(
  work: NodeWork,
  { platform, old, timeoutMs }: Replacement,
  entry: NodeEntry,
): Promise<void> {
  if (entry.role === 'etcd') await joinCluster(work, entry, old, timeoutMs)
  if (entry.role === 'haproxy') await updatePeers(work, platform, timeoutMs)
}

/** Waits until the new node serves. */
async function awaitService(
  work: NodeWork,
  { old, timeoutMs }: Replacement,
  entry: NodeEntry,
): Promise<void> {
  if (entry.role === 'etcd') await becomeVoter(work, entry, old, timeoutMs)
  if (['join', 'init'].includes(entry.values.BOOTSTRAP ?? '')) {
    await awaitReady(work.host, entry, timeoutMs, (reason) => /\bkubeadm: done\b/.test(reason))
  }
}

function drainHints(old: NodeEntry, entry: NodeEntry): string[] {
  return [
    `${entry.name} is ready. ${old.name} is kept until its pods have moved; with kubectl:`,
    `  kubectl drain ${old.name} --ignore-daemonsets --delete-emptydir-data`,
    `  kubectl delete node ${old.name}`,
    'Then run the same command again, with --drained.',
  ]
}

function hints(entry: NodeEntry, old: string): string[] {
  if (entry.role === 'haproxy') return []
  return entry.role === 'etcd'
    ? [`Give the API servers ${mainAddress(entry)} in the place of ${old}: --etcd-servers.`]
    : [`Load balancers that have ${old} as a backend keep sending to it: replace them when it suits.`]
}
