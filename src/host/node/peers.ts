import { readFile } from 'node:fs/promises'
import { formatNodeEnv, type NodeValues, parseNodeEnv } from '../../guest/node-env.ts'
import { filesOf, NODE_ENV_PATH, vendorData } from '../../guest/vendor-data.ts'
import type { Platform } from '../../platform/schema.ts'
import { SeederError } from '../../report/error.ts'
import { awaitReady, guestExec, guestOutput } from './guest.ts'
import type { NodeEntry } from './ledger.ts'
import { isRunning } from './machine.ts'
import type { NodeWork } from './recover.ts'
import { writeSnippet } from './snippet.ts'
import { vrrpPeers } from './values.ts'

const KEY = 'VRRP_PEERS'

/**
 * Gives load balancers their new peers: one without peers would take the VIPs, too. This changes their vendor data for
 * the next boot, and reloads keepalived where they run. Load balancers whose peers the operator chose stay as they are,
 * and so does the last one of a pair. May be called again at any time.
 */
export async function updatePeers(work: NodeWork, platform: Platform, timeoutMs: number): Promise<void> {
  const all = (await work.ledger.read()).filter(
    ({ role, state }) => role === 'haproxy' && state !== 'destroying',
  )
  for (const entry of all) {
    if (!['created', 'starting'].includes(entry.state) || KEY in entry.values) continue
    const peers = vrrpPeers(platform, entry.name, all).join(' ')
    if (peers === '' || !(await changeSnippet(entry, peers))) continue
    if (!(await isRunning(work.host, entry.vmid))) continue
    await changeRunning(work, entry, formatNodeEnv({ [KEY]: peers }).trimEnd(), timeoutMs)
    work.note(`${entry.name}: its peers are ${peers}`)
  }
}

/** Writes the peers into the vendor data; false for a load balancer without VIPs, which has no peers. */
async function changeSnippet(entry: NodeEntry, peers: string): Promise<boolean> {
  const text = await readFile(entry.snippet.file, 'utf8').catch((cause: unknown) => {
    throw new SeederError(`The vendor data of ${entry.name}, ${entry.snippet.file}, cannot be read`, {
      fix: `replace ${entry.name}: its values are lost`,
      cause,
    })
  })
  const files = filesOf(text)
  const { values } = parseNodeEnv(files.find(({ path }) => path === NODE_ENV_PATH)?.content ?? '')
  if (!values.VIP) return false
  if (values[KEY] === peers) return true
  const content = formatNodeEnv({ ...values, [KEY]: peers })
  const changed = files.map((file) => (file.path === NODE_ENV_PATH ? { ...file, content } : file))
  await writeSnippet(entry, vendorData(entry.token, changed))
  return true
}

/** One command in the guest, which completes even if this run is killed. */
const APPLY_SCRIPT =
  'sed -i "s/^VRRP_PEERS=.*/$1/" /etc/seeder/node.env; systemctl restart seeder-first-boot.service'

/** @param line addresses, blanks and quotes, which have no meaning in sed */
async function changeRunning(
  work: NodeWork,
  entry: NodeEntry,
  line: string,
  timeoutMs: number,
): Promise<void> {
  const { host } = work
  const has = await guestExec(host, entry.vmid, ['/usr/bin/grep', '-qxF', '-e', line, NODE_ENV_PATH])
  if (has.code === 0) return
  await host.output(['qm', 'cloudinit', 'update', String(entry.vmid)])
  await guestOutput(host, entry.vmid, ['/bin/bash', '-euc', APPLY_SCRIPT, 'seeder', line], 120)
  await awaitReady(host, entry, timeoutMs)
}

/** The VRRP priority of a load balancer, for the one that replaces it. */
export async function readPriority({ role, snippet }: NodeEntry): Promise<NodeValues> {
  if (role !== 'haproxy') return {}
  const text = await readFile(snippet.file, 'utf8').catch(() => undefined)
  const file = text === undefined ? undefined : filesOf(text).find(({ path }) => path === NODE_ENV_PATH)
  const { VRRP_PRIORITY } = parseNodeEnv(file?.content ?? '').values
  return VRRP_PRIORITY === undefined ? {} : { VRRP_PRIORITY }
}
