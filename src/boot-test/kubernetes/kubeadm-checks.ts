import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeValues } from '../../guest/node-env.ts'
import type { GuestAgent } from '../../vm/agent.ts'
import { expect } from '../checks.ts'
import { expectReady, repeatFirstBoot, seconds, tryValues } from '../first-boot.ts'
import type { PlacedClone } from '../test-bed.ts'
import { API_PORT, type Secrets } from './configuration.ts'
import { compareInitConfiguration } from './kubeadm-configuration.ts'
import { type PreflightFinding, preflightFindings } from './preflight.ts'
import type { KubernetesTestBed } from './test-bed.ts'

const CONFIGURATION_FILE = '/run/seeder/kubeadm.yaml'
const KUBEADM_UNIT = 'seeder-kubeadm.service'
// An emulated kubeadm needs a minute until it misses etcd, and one that joins looks for the cluster for five.
const CALL_LIMIT_MS = 420_000

/** The state of kubeadm on a node. */
export interface KubeadmState {
  /** `retrying`: an attempt failed, and another will follow. */
  readonly state: 'done' | 'retrying' | 'running'
  readonly text: string
}

/** Parses the line of `/var/lib/seeder/kubeadm.state`; undefined when it is invalid. */
export function parseKubeadmState(line: string): KubeadmState | undefined {
  const [, state, text] = /^(done|retrying|running): (.+)$/.exec(line.trim()) ?? []
  if (state !== 'done' && state !== 'retrying' && state !== 'running') return undefined
  return { state, text: text ?? '' }
}

/**
 * Waits for a state of kubeadm, which works with the configuration that first boot made and validated.
 * @param ends whether the test waits for no other state
 */
export async function awaitKubeadm(
  { clone, machine }: PlacedClone,
  action: 'init' | 'join',
  limitMs: number,
  ends: (state: KubeadmState) => Promise<boolean> | boolean,
): Promise<KubeadmState> {
  const { agent } = clone
  let line = ''
  for (const deadline = performance.now() + limitMs; performance.now() < deadline; await sleep(1000)) {
    line = (await agent.exec(['/bin/cat', '/var/lib/seeder/kubeadm.state'])).stdout
    const state = parseKubeadmState(line)
    if (state === undefined || !(await ends(state))) continue
    const call = `calling kubeadm ${action} for a ${machine.role}, attempt 1`
    const journal = await readJournal(agent)
    expect(journal.includes(call), `the journal of ${KUBEADM_UNIT} does not say "${call}"`)
    if (state.state === 'done') {
      const sentinel = (await agent.shell('cat /var/lib/seeder/kubeadm.done')).trim()
      expect(sentinel.startsWith(`${machine.role} ${action} `), `the sentinel says "${sentinel}"`)
    }
    return state
  }
  expect(false, `after ${seconds(limitMs)} kubeadm is "${line.trim() || 'not called'}"`)
}

/** kubeadm's output since the machine was started, and what calls it. */
export function readJournal(agent: GuestAgent): Promise<string> {
  return agent.shell(`journalctl --boot --no-pager --output=cat --unit=${KUBEADM_UNIT}`)
}

/**
 * Waits until kubeadm has passed its preflight, in a test without etcd and without a cluster: an init then fails, and a
 * join tries to reach the API server. Its first attempt has to; on an emulated node, where kubeadm gives containerd as
 * little time as anywhere, a later one may.
 * @param missing the checks of an init that need what this test does not have
 */
export async function awaitCalled(
  node: PlacedClone,
  action: 'init' | 'join',
  { missing, emulated }: { missing: readonly string[]; emulated: boolean },
): Promise<KubeadmState> {
  const { agent } = node.clone
  const connects = async () => {
    const sockets = await agent.shell(`ss --no-header --tcp --numeric state syn-sent 'dport = :${API_PORT}'`)
    return action === 'join' && sockets.trim() !== ''
  }
  let found: PreflightFinding[] = []
  const unexpected = () => found.filter(({ name }) => !missing.includes(name))
  const state = await awaitKubeadm(node, action, CALL_LIMIT_MS, async ({ state }) => {
    if (state === 'running' && !(await connects())) return false
    found = lastFindings(await readJournal(agent)).filter(({ level }) => level === 'ERROR')
    return !emulated || unexpected().length === 0
  })
  expect(
    unexpected().length === 0,
    unexpected()
      .map(({ name, text }) => `${name}: ${text}`)
      .join('; '),
  )
  const unnamed = missing.filter((name) => !found.some((finding) => finding.name === name))
  expect(unnamed.length === 0, `kubeadm does not miss ${unnamed.join(', ')}: ${state.text}`)
  return state
}

/** What the preflight of kubeadm's last attempt found, in the journal of its unit. */
export function lastFindings(journal: string): PreflightFinding[] {
  return preflightFindings(journal.slice(Math.max(0, journal.lastIndexOf('calling kubeadm '))))
}

/** Checks the configuration that first boot makes for kubeadm, on a node where kubeadm is not called. */
export async function checkConfiguration(
  bed: KubernetesTestBed,
  node: PlacedClone,
  values: NodeValues,
): Promise<string> {
  const { agent } = node.clone
  // A condition that is not met keeps systemd from calling kubeadm, without a failed unit.
  const folder = `/run/systemd/system/${KUBEADM_UNIT}.d`
  await agent.output(
    ['/bin/bash', '-euc', `mkdir -p ${folder}; cat >${folder}/hold.conf; systemctl daemon-reload`],
    '[Unit]\nConditionPathExists=/run/seeder/kubeadm-allowed\n',
  )
  expectReady(await tryValues(node, values, []))
  const mode = (await agent.output(['/usr/bin/stat', '--format=%a %U', CONFIGURATION_FILE])).trim()
  expect(mode === '600 root', `${CONFIGURATION_FILE} is ${mode}: secrets are in it`)
  const text = await agent.output(['/bin/cat', CONFIGURATION_FILE])
  const files = compareInitConfiguration(text, {
    platform: bed.platform,
    hostname: node.machine.hostname,
    values,
  })
  await agent.output(['/usr/bin/stat', '--format=%n', ...files] as [string, ...string[]])
  await agent.output(['/usr/bin/kubeadm', 'config', 'validate', '--config', CONFIGURATION_FILE])
  return `kubeadm accepts it, and it agrees with node.env and the platform file; the ${files.length} files that it names are there`
}

/** First boot, run again on a member, does not call kubeadm. */
export async function checkIdempotent({ clone }: PlacedClone, before: KubeadmState): Promise<string> {
  const { agent } = clone
  const calls = async () =>
    Number(
      await agent.shell(
        `journalctl --boot --no-pager --output=cat --unit=${KUBEADM_UNIT} | grep --count 'calling kubeadm' || true`,
      ),
    )
  const counted = await calls()
  const status = await repeatFirstBoot(agent)
  expectReady(status)
  if (before.state !== 'done') return status.reason
  const again = await calls()
  expect(again === counted, `kubeadm was called ${again - counted} times more`)
  return `kubeadm was not called again: ${status.reason}`
}

// Prints every file that holds a secret, with its mode. Reads the secrets from standard input, to keep them out
// of command lines and the agent's log.
const SEARCH_SCRIPT = `
secrets=$(cat)
{ grep --recursive --files-with-matches --fixed-strings --devices=skip --no-messages --file=<(echo "$secrets") \\
    /etc /home /root /run /tmp /var || true; } |
    while IFS= read -r file; do stat --format='%a %G %n' "$file" 2>/dev/null || true; done
echo "journal $(journalctl --no-pager --output=cat | grep --count --fixed-strings --file=<(echo "$secrets") || true)"
`

/** Only root can read the secrets, and node.env and kubeadm's configuration do not hold them once they were used. */
export async function checkSecrets(
  node: PlacedClone,
  secrets: Secrets,
  state: KubeadmState,
): Promise<string> {
  const input = `${secrets.token}\n${secrets.certificateKey}\n`
  const found = await node.clone.agent.output(['/bin/bash', '-euc', SEARCH_SCRIPT], input)
  return checkSecretFiles(found, state.state === 'done')
}

/** Checks the list of files with secrets, `MODE GROUP PATH` each, and the number of such lines in the journal. */
export function checkSecretFiles(listing: string, used: boolean): string {
  const lines = listing.trim().split('\n')
  const journal = lines.find((line) => line.startsWith('journal '))
  expect(journal === 'journal 0', `lines with secrets in the journal: ${journal?.slice(8)}`)
  const files = lines.filter((line) => line !== journal && line !== '')
  const open = files.filter((line) => {
    const [mode = '', group] = line.split(' ')
    const bits = Number.parseInt(mode, 8)
    return (bits & 0o004) !== 0 || ((bits & 0o040) !== 0 && group !== 'root')
  })
  expect(open.length === 0, `users other than root can read: ${open.join('; ')}`)
  const left = files.filter((line) => / \/(etc|run)\/seeder\//.test(line))
  expect(!used || left.length === 0, `used, but still in: ${left.join('; ')}`)
  const where = files.map((line) => line.split(' ').slice(2).join(' '))
  return used
    ? `gone from node.env and kubeadm’s configuration; only root can read: ${where.join(', ') || 'nothing'}`
    : `still needed; only root can read: ${where.join(', ')}`
}
