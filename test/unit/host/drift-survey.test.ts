import { expect, it } from 'vitest'
import type { Ended, Host } from '../../../src/host/commands.ts'
import type { KnownClone } from '../../../src/host/drift.ts'
import { checkClones } from '../../../src/host/drift.ts'

const clone: KnownClone = { name: 'etcd1', vmid: 200, image: 'etcd', version: '3.7.2-1', template: undefined }
const clean = JSON.stringify({
  schema: 1,
  image: 'etcd',
  version: '3.7.2-1',
  state: 'clean',
  taken: '2026-01-02T03:04:05Z',
  roothash: '',
  uki: '',
  list: '',
  accepted: [],
  total: 0,
  findings: [],
})

/** A host on which every command ends like this, and the commands that were run. */
function hostAnswering(ended: Partial<Ended>): { host: Host; commands: string[] } {
  const commands: string[] = []
  const run = async (argv: readonly string[]) => {
    commands.push(argv.join(' '))
    return { code: 0, stdout: '', stderr: '', ...ended }
  }
  return { host: { run, output: async (argv) => (await run(argv)).stdout }, commands }
}

/** What `qm guest exec` prints of a command that has ended in the guest. */
const inGuest = (exitcode: number, stdout: string, stderr = '') => ({
  stdout: JSON.stringify({ exited: 1, exitcode, 'out-data': stdout, 'err-data': stderr }),
})

it('checks a clone that runs, and leaves the disk to others meanwhile', async () => {
  const { host, commands } = hostAnswering(inGuest(0, clean))
  expect(await checkClones(host, [clone], new Map([[200, 'running']]))).toMatchObject([{ state: 'clean' }])
  expect(commands).toEqual(['qm guest exec 200 --timeout 600 -- /usr/sbin/seeder-drift check --gently'])
})

it.each([
  [
    'whose agent is silent',
    { code: 255, stderr: 'QEMU guest agent is not running\n' },
    'agent is not running',
  ],
  ['that does not come to an end', { stdout: '{ "pid" : 7 }' }, 'did not end within 600 seconds'],
  ['that cannot compare itself', inGuest(3, '', 'seeder-drift: it could not be done\n'), 'could not be done'],
  ['without seeder-drift', inGuest(0, 'nothing that is JSON'), 'before seeder-drift'],
  ['that says something else', inGuest(0, '{"state":"clean"}'), 'before seeder-drift'],
])('takes nothing for clean of a clone %s', async (_, ended, reason) => {
  const { host } = hostAnswering(ended)
  const found = await checkClones(host, [clone], new Map([[200, 'running']]))
  expect(found).toMatchObject([{ state: 'unknown', reason: expect.stringContaining(reason) }])
})

it.each([
  ['does not run', new Map([[200, 'stopped']]), 'stopped'],
  ['is on another host', new Map(), 'it is not on this Proxmox node'],
])('does not check a clone that %s', async (_, states, reason) => {
  const { host, commands } = hostAnswering(inGuest(0, clean))
  expect(await checkClones(host, [clone], states)).toMatchObject([{ state: 'unasked', reason }])
  expect(commands).toEqual([])
})
