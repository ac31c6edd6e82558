import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { Console } from '../../../src/vm/console.ts'
import { consoleFailures, isLostTimer } from '../../../src/vm/console-failures.ts'

test('finds a line from before the wait, and one that arrives in pieces with colours', async () => {
  const port = new PassThrough()
  const console = new Console(port)
  port.write('BdsDxe: starting\r\nseeder-fi')
  expect((await console.waitFor(/BdsDxe/, 'firmware', 1000)).text).toBe('BdsDxe: starting')
  const line = console.waitFor(/first-boot: ready/, 'first boot', 1000)
  port.write('rst-boot: \u001b[32mready\u001b[0m\r\r\n')
  expect((await line).text).toBe('seeder-first-boot: ready')
})

test('stops waiting when the VM ends, the kernel panics, or the time is over', async () => {
  const port = new PassThrough()
  const console = new Console(port)
  const panicking = console.waitFor(/ready/, 'first boot', 5000)
  port.write('[    4.2] Kernel panic - not syncing: VFS\n')
  await expect(panicking).rejects.toThrow(
    'waited on the console for first boot; it said: [    4.2] Kernel panic',
  )
  await expect(console.waitFor(/ready/, 'first boot', 20)).rejects.toThrow(
    'not seen within 0 s; last line: [    4.2]',
  )
  const left = console.waitFor(/ready/, 'first boot', 5000)
  console.end()
  await expect(left).rejects.toThrow('the VM ended; its last line: [    4.2] Kernel panic')
  await expect(console.waitFor(/ready/, 'first boot', 5000)).rejects.toThrow('the VM ended')
})

test.each([
  [
    'kernel panic',
    '[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
  ],
  ['kernel oops', '[   12.0] Oops: 0000 [#1] PREEMPT SMP NOPTI'],
  ['kernel BUG', '[   12.0] kernel BUG at mm/slub.c:450!'],
  ['kernel oops', '[   12.0] BUG: unable to handle page fault for address: ffff'],
  ['lockup', '[   60.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [kworker/0:1:12]'],
  ['lockup', '[   60.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks'],
  ['hung task', '[  242.6] INFO: task jbd2/sda4-8:214 blocked for more than 120 seconds.'],
  ['out of memory', '[   33.1] Out of memory: Killed process 512 (haproxy) total-vm:9k'],
  ['verity corruption', '[   20.1] device-mapper: verity: 8:2: data block 421 is corrupted'],
  ['I/O error', '[   20.1] I/O error, dev sda, sector 2048 op 0x0:(READ)'],
  ['I/O error', '[   20.1] EXT4-fs error (device sda4): ext4_lookup:1855: inode #2'],
  ['segmentation fault', '[   20.1] keepalived[401]: segfault at 0 ip 000055d6'],
  ['emergency mode', 'You are in emergency mode. After logging in, type "journalctl -xb"'],
  ['unit failed', '[FAILED] Failed to start haproxy.service - HAProxy Load Balancer.'],
  ['dependency failed', '[DEPEND] Dependency failed for local-fs.target - Local File Systems.'],
  ['ordering cycle', 'systemd[1]: sysinit.target: Found ordering cycle on seeder-first-boot.service/start'],
  ['start timeout', '[ TIME ] Timed out waiting for device dev-disk-by\\x2dpartuuid.device'],
  ['nothing to boot', 'UEFI Interactive Shell v2.2'],
  ['cloud-init failure', '[   44.1] cloud-init[612]: Traceback (most recent call last):'],
])('recognises %s', (kind, text) => {
  expect(consoleFailures([{ ms: 7, text }])).toEqual([{ kind, ms: 7, text }])
})

test('ordinary lines and allowed lines are no failures', () => {
  const lines = [
    '[  OK  ] Started haproxy.service - HAProxy Load Balancer.',
    '[    1.0] EXT4-fs (sda4): mounted filesystem r/w with ordered data mode',
    '[    0.4] PCI: fatal error handling is not for us',
    '[    3.1] I/O error, dev sr0, sector 0 op 0x0:(READ)',
    '[    0.0] Command line: panic=10 oops=panic',
  ].map((text) => ({ ms: 0, text }))
  expect(consoleFailures(lines)).toEqual([])
  expect(
    consoleFailures(
      [{ ms: 0, text: '[FAILED] Failed to start a.service' }],
      [{ pattern: /a\.service/, reason: 'on purpose' }],
    ),
  ).toEqual([])
})

const lostTimer =
  "[    0.008000] Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug"

test('a lost timer does not end a wait: the console continues with the next start', async () => {
  const port = new PassThrough()
  const console = new Console(port)
  const ready = console.waitFor(/ready/, 'first boot', 5000)
  const lost = Promise.withResolvers<void>()
  console.once(isLostTimer, lost.resolve)
  port.write(`${lostTimer}\n`)
  await lost.promise
  const next = new PassThrough()
  console.restart(next)
  expect(console.lines).toEqual([])
  next.write('seeder-first-boot: ready\n')
  expect((await ready).text).toBe('seeder-first-boot: ready')
  expect(isLostTimer('[ 0.1] Kernel panic - not syncing: VFS')).toBe(false)
})
