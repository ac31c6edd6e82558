import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PveMachines } from '../support/boot/pve-machines.ts'
import { removeFolder, testFolder } from '../support/builds.ts'
import { Random } from '../support/mutation/random.ts'

/**
 * The power fails at a random moment of a first boot, and at another of the boot after it. The next boot is `ready` with
 * everything that the drive promises. SEEDER_POWER_CUTS is the number of machines.
 */
const root = await testFolder('power cut')
const seed = Number(process.env.SEEDER_MUTATION_SEED || Date.now())
const rounds = Number(process.env.SEEDER_POWER_CUTS || 20)
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0sLxB2JT229G7/XhX72Z8enPxvJrFURkVXoxq4UsAy op'
const keys = join(root, 'keys.pub')
let machines: PveMachines
/** Milliseconds of a boot that nothing disturbs, until it is ready. */
let wholeBoot = 0

beforeAll(async () => {
  machines = await PveMachines.start(root)
  const snippet =
    '#cloud-config\nwrite_files:\n- {path: /etc/seeder/node.env, permissions: "0600", content: "NTP_SERVERS=10.0.0.1\\n"}\n'
  await machines.writeSnippet('v.yaml', snippet)
  await writeFile(keys, `${key}\n`)
  await make('100')
  const began = performance.now()
  await expectWhole('100')
  wholeBoot = performance.now() - began
  await remove('100')
})
afterAll(async () => {
  await machines.host.remove()
  await removeFolder(root)
})

async function make(vmid: string): Promise<void> {
  await machines.clone(vmid, `node${vmid}`, '192.168.3.77')
  await machines.mustQm('set', vmid, '--cicustom', 'vendor=local:snippets/v.yaml', '--sshkeys', keys)
}

async function remove(vmid: string): Promise<void> {
  await machines.mustQm('stop', vmid)
  await machines.mustQm('destroy', vmid, '--purge')
}

const facts = `
hostname
ip -4 -brief address show dev eth0
cat /etc/seeder/node.env
cat /home/debian/.ssh/authorized_keys
for key in /etc/ssh/ssh_host_*_key; do ssh-keygen -y -P '' -f "$key" >/dev/null && cmp -s <(ssh-keygen -y -P '' -f "$key" | cut -d' ' -f1,2) <(cut -d' ' -f1,2 "$key.pub") && echo "$key"; done
cat /etc/machine-id | wc -c`

/** Starts a machine, which has to be ready with everything. */
async function expectWhole(vmid: string): Promise<void> {
  const { state, reason } = await machines.firstBoot(vmid)
  expect(state, reason).toBe('ready')
  const found = (await machines.inGuest(vmid, '/bin/bash', '-c', facts)).trim().split('\n')
  expect(found).toEqual([
    `node${vmid}`,
    expect.stringContaining('192.168.3.77/24'),
    'NTP_SERVERS=10.0.0.1',
    key,
    '/etc/ssh/ssh_host_ecdsa_key',
    '/etc/ssh/ssh_host_ed25519_key',
    '33',
  ])
}

it(
  `${rounds} machines lose their power twice`,
  async () => {
    const random = new Random(seed)
    for (let round = 0; round < rounds; round++) {
      const vmid = String(101 + round)
      await make(vmid)
      const cuts = [random.next(), random.next()].map((part) => Math.round(part * wholeBoot * 1.2))
      for (const cut of cuts) {
        await machines.mustQm('start', vmid)
        await sleep(cut)
        await machines.mustQm('stop', vmid)
      }
      await expectWhole(vmid)
      console.log(
        `${vmid}: cut after ${cuts.join(' and ')} ms of ${Math.round(wholeBoot)} (seed ${seed}): ready`,
      )
      await remove(vmid)
    }
  },
  rounds * 10 * 60_000,
)
