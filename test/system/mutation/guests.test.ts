import { expect, test } from 'vitest'
import type { Ended, Host } from '../../../src/host/commands.ts'
import { checkClones, driftText } from '../../../src/host/drift.ts'
import { readStatus } from '../../../src/host/node/guest.ts'
import { harmless } from '../../../src/report/print.ts'
import { visibleJson } from '../../../src/report/printable.ts'
import { BYTE_CHANGES, type Mutation, mutate, TEXT_CHANGES } from '../../support/mutation/bytes.ts'
import { complaints } from '../../support/mutation/complaints.ts'
import { Random, ROUNDS, seedOf } from '../../support/mutation/random.ts'
import { first } from '../../support/mutation/rounds.ts'
import { mutateTree } from '../../support/mutation/tree.ts'

/** What machines say of themselves, root in them being somebody else: spoiled in hundreds of ways. */
const clone = { name: 'lb1', vmid: 200, image: 'haproxy', version: '3.0.11-1', template: undefined }
const drift = {
  schema: 1,
  image: 'haproxy',
  version: '3.0.11-1',
  state: 'drifted',
  taken: '2026-01-02T03:04:05Z',
  roothash: 'ab'.repeat(32),
  uki: 'cd'.repeat(32),
  list: 'ef'.repeat(32),
  accepted: ['/etc/motd'],
  total: 1,
  findings: [{ kind: 'file-changed', name: '/etc/passwd', detail: 'its content is another one' }],
}
const status = {
  image: 'haproxy',
  version: '3.0.11-1',
  role: 'haproxy',
  state: 'ready',
  reason: 'all is well',
}

/** What `qm guest exec` prints of a command that printed this. */
const inGuest = (stdout: string) => ({ exited: 1, exitcode: 0, 'out-data': stdout, 'err-data': '' })

function hostThatSays(stdout: string): Host {
  const ended: Ended = { code: 0, stdout, stderr: '' }
  return { run: async () => ended, output: async () => stdout }
}

function spoil(value: object, random: Random): Mutation {
  if (random.next() < 0.6) return mutateTree(value, random, (made) => JSON.stringify(made))
  return mutate(Buffer.from(JSON.stringify(value)), { ...BYTE_CHANGES, ...TEXT_CHANGES }, random)
}

/** Half of the answers are spoiled inside of the guest, and half as the host gets them. */
function answer(value: object, round: number): { what: string; said: string } {
  const random = new Random(seedOf(round))
  if (random.next() < 0.5) {
    const { what, content } = spoil(value, random)
    return { what, said: JSON.stringify(inGuest(content.toString())) }
  }
  const { what, content } = spoil(inGuest(JSON.stringify(value)), random)
  return { what, said: content.toString() }
}

test('seeder-drift of a clone: nothing of it passes for another line, or reaches the terminal', async () => {
  const failures: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const { what, said } = answer(drift, round)
    const nodes = await checkClones(hostThatSays(said), [clone], new Map([[200, 'running']]))
    // As `print` prints it.
    const text = harmless(
      driftText({ schema: 1, host: 'pve1', taken: '2026-01-02T03:04:05Z', nodes, templates: [] }),
    )
    const json = visibleJson(nodes, 2).replaceAll('##[', '##\\u005b')
    const lines = text.split('\n').filter((line) => !/^(node|----|lb1\b|No |There |$)/.test(line))
    const wrong = [
      ...complaints({ code: 0, stdout: `${text}\n${json}`, stderr: '' }, []),
      ...lines.map((line) => `there is a line ${JSON.stringify(line.slice(0, 80))}`),
      ...(nodes.length === 1 ? [] : ['there is another node']),
    ]
    if (wrong.length > 0) failures.push(`round ${round} (${what}): ${wrong.join('; ')}`)
  }
  expect(first(failures)).toBe('')
})

test('the status of a clone', async () => {
  const failures: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const { what, said } = answer(status, round)
    const found = await readStatus(hostThatSays(said), 200)
    const wrong = complaints({ code: 0, stdout: found?.reason ?? '', stderr: '' }, [], true)
    if (found?.reason.includes('\n')) wrong.push('its reason has more than one line')
    if (wrong.length > 0) failures.push(`round ${round} (${what}): ${wrong.join('; ')}`)
  }
  expect(first(failures)).toBe('')
})
