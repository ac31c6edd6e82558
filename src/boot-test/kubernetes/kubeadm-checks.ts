import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeValues } from '../../guest/node-env.ts'
import { expect } from '../checks.ts'
import { tryValues } from '../first-boot.ts'
import { guestStatus } from '../guest-facts.ts'
import type { Secrets } from './configuration.ts'
import { compareInitConfiguration } from './kubeadm-configuration.ts'
import type { Node, NodeStage } from './test-bed.ts'

const config = '/run/seeder/kubeadm.yaml'
const unit = 'seeder-kubeadm.service'
// kubeadm looks for the API server, the registry and the internet before it gives an attempt up.
const callLimitMs = 240_000

/** What has become of kubeadm on a node. */
export interface KubeadmState {
  /** `done` once it succeeded, `retrying` when an attempt failed and there will be more. */
  readonly state: 'done' | 'retrying' | 'running'
  readonly text: string
}

/** Reads the one line of `/var/lib/seeder/kubeadm.state`; undefined when it is none. */
export function parseKubeadmState(line: string): KubeadmState | undefined {
  const [, state, text] = /^(done|retrying|running): (.+)$/.exec(line.trim()) ?? []
  if (state !== 'done' && state !== 'retrying' && state !== 'running') return undefined
  return { state, text: text ?? '' }
}

/**
 * kubeadm was called with the configuration that first boot made and validated, and has come to an end of an attempt. In
 * a closed network there is no registry and no API server, so it may have to try again: that is said, and no failure.
 */
export async function awaitKubeadm({ clone, seat }: Node, action: 'init' | 'join'): Promise<KubeadmState> {
  let state: KubeadmState | undefined
  let line = ''
  for (const deadline = performance.now() + callLimitMs; performance.now() < deadline; await sleep(1000)) {
    line = (await clone.agent.exec(['/bin/cat', '/var/lib/seeder/kubeadm.state'])).stdout
    state = parseKubeadmState(line)
    if (state !== undefined && state.state !== 'running') break
  }
  expect(state !== undefined && state.state !== 'running', `kubeadm is "${line.trim() || 'not called'}"`)
  const journal = await clone.agent.shell(`journalctl --boot --no-pager --output=cat --unit=${unit}`)
  const call = `calling kubeadm ${action} for a ${seat.role}, attempt 1`
  expect(journal.includes(call), `the journal of ${unit} does not say "${call}"`)
  if (state.state === 'done') {
    const sentinel = (await clone.agent.shell('cat /var/lib/seeder/kubeadm.done')).trim()
    expect(sentinel.startsWith(`${seat.role} ${action} `), `the sentinel says "${sentinel}"`)
  }
  return state
}

/** What first boot has made kubeadm's configuration of, on a node where nothing calls kubeadm. */
export async function checkConfiguration(stage: NodeStage, node: Node, values: NodeValues): Promise<string> {
  const { agent } = node.clone
  // The call is held back from outside: systemd finds its condition not met, which is no failure to anybody.
  const folder = `/run/systemd/system/${unit}.d`
  await agent.output(
    ['/bin/bash', '-euc', `mkdir -p ${folder}; cat >${folder}/hold.conf; systemctl daemon-reload`],
    '[Unit]\nConditionPathExists=/run/seeder/proof-lets-go\n',
  )
  const status = await tryValues(node.clone, values, [])
  expect(status.state === 'ready', `first boot says ${status.state}: ${status.reason}`)
  const mode = (await agent.output(['/usr/bin/stat', '--format=%a %U', config])).trim()
  expect(mode === '600 root', `${config} is ${mode}: secrets are in it`)
  const text = await agent.output(['/bin/cat', config])
  const files = compareInitConfiguration(text, {
    platform: stage.platform,
    hostname: node.seat.hostname,
    values,
  })
  await agent.output(['/usr/bin/stat', '--format=%n', ...files] as [string, ...string[]])
  await agent.output(['/usr/bin/kubeadm', 'config', 'validate', '--config', config])
  return `kubeadm accepts it, and it says what node.env and the platform file say; ${files.length} files it names are there`
}

/** First boot, run again on a member, calls nobody and changes nothing. */
export async function checkIdempotent({ clone }: Node, before: KubeadmState): Promise<string> {
  const { agent } = clone
  const calls = async () =>
    Number(
      await agent.shell(
        `journalctl --boot --no-pager --output=cat --unit=${unit} | grep --count 'calling kubeadm' || true`,
      ),
    )
  const counted = await calls()
  await agent.exec(['/bin/systemctl', 'restart', 'seeder-first-boot.service'], { timeoutMs: 120_000 })
  const status = await guestStatus(agent)
  expect(status.state === 'ready', `run again, first boot says ${status.state}: ${status.reason}`)
  if (before.state !== 'done') return `${status.reason}`
  const again = await calls()
  expect(again === counted, `kubeadm was called ${again - counted} times more`)
  return `kubeadm was not called again: ${status.reason}`
}

// Every file in which one of the secrets is, with its mode. The secrets come by standard input, so that neither a
// command line nor the agent's log has them.
const searchScript = `
secrets=$(cat)
{ grep --recursive --files-with-matches --fixed-strings --devices=skip --no-messages --file=<(echo "$secrets") \\
    /etc /home /root /run /tmp /var || true; } |
    while IFS= read -r file; do stat --format='%a %G %n' "$file" 2>/dev/null || true; done
echo "journal $(journalctl --no-pager --output=cat | grep --count --fixed-strings --file=<(echo "$secrets") || true)"
`

/** Nobody but root can read what the node was given once, and where it has done its work it is gone. */
export async function checkSecrets(node: Node, secrets: Secrets, state: KubeadmState): Promise<string> {
  const words = `${secrets.token}\n${secrets.certificateKey}\n`
  const found = await node.clone.agent.output(['/bin/bash', '-euc', searchScript], words)
  return judgeSecrets(found, state.state === 'done')
}

/** Judges the list of files with secrets in them, `MODE GROUP PATH` each, and of lines in the journal. */
export function judgeSecrets(listing: string, used: boolean): string {
  const lines = listing.trim().split('\n')
  const journal = lines.find((line) => line.startsWith('journal '))
  expect(journal === 'journal 0', `lines with secrets in the journal: ${journal?.slice(8)}`)
  const files = lines.filter((line) => line !== journal && line !== '')
  const open = files.filter((line) => {
    const [mode = '', group] = line.split(' ')
    const bits = Number.parseInt(mode, 8)
    return (bits & 0o004) !== 0 || ((bits & 0o040) !== 0 && group !== 'root')
  })
  expect(open.length === 0, `others than root can read: ${open.join('; ')}`)
  const left = files.filter((line) => / \/(etc|run)\/seeder\//.test(line))
  expect(!used || left.length === 0, `it has done its work, but is still in: ${left.join('; ')}`)
  const where = files.map((line) => line.split(' ').slice(2).join(' '))
  return used
    ? `gone from node.env and kubeadm’s configuration; root alone can read: ${where.join(', ') || 'nothing'}`
    : `still needed; root alone can read: ${where.join(', ')}`
}
