import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { drivesOf, hasVolume, volumeOf } from '../drives.ts'
import { PveError } from '../failure.ts'
import { passMoment } from '../faults.ts'
import type { Call } from '../getopt.ts'
import { withConfigLock } from '../locks.ts'
import { err } from '../output.ts'
import { run } from '../processes.ts'
import { runFile, runningPid } from '../running.ts'
import { activate, placeOf } from '../storage/registry.ts'
import { knownEmulator, QEMU } from '../vm/emulator.ts'
import { bridgeMtu, type Card, cardsOf, consoleLog, vmArguments } from '../vm/machine.ts'
import { qmp } from '../vm/qmp.ts'
import { checkLock, loadConfig } from '../vm-config.ts'
import { inWorker } from '../worker.ts'
import { writeCloudInitDrive } from './cloudinit.ts'

/** `qm start`. */
export async function start(call: Call): Promise<void> {
  await startVm(Number(call.values.get('vmid')), call.values.get('skiplock') === '1')
}

interface StartWork {
  readonly vmid: number
}

/** Starts a VM in a worker, and waits until QEMU runs. */
export async function startVm(vmid: number, skipLock = false): Promise<void> {
  const config = loadConfig(vmid, 255)
  if (config.values.get('template') === '1') throw new PveError("you can't start a vm if it's a template")
  if (!skipLock) checkLock(config)
  if (runningPid(vmid) !== undefined) throw new PveError(`VM ${vmid} already running`)
  const work: StartWork = { vmid }
  await inWorker('qmstart', String(vmid), work)
}

/** The worker's part. */
export async function startWork({ vmid }: StartWork): Promise<void> {
  await withConfigLock(vmid, async () => {
    const { values } = loadConfig(vmid)
    if (runningPid(vmid) !== undefined) throw new PveError(`VM ${vmid} already running`)
    for (const drive of drivesOf(values).filter(hasVolume)) {
      const { storage, volume } = placeOf(volumeOf(drive))
      activate(storage)
      if (!storage.exists(volume)) throw new PveError(`volume '${volumeOf(drive)}' does not exist`)
    }
    await writeCloudInitDrive(vmid, values)
    await passMoment('middle')
    const emulator = await knownEmulator()
    const variables = runFile(vmid, 'efivars.fd')
    if (values.get('bios') === 'ovmf' && !values.has('efidisk0')) {
      err('WARN: no efidisk configured! Using temporary efivars disk.\n')
      copyFileSync(emulator.firmware.vars, variables)
    }
    const cards = cardsOf(vmid, values)
    const argv = vmArguments(vmid, values, emulator, variables)
    await removeCards(cards)
    await plugIn(cards)
    rmSync(runFile(vmid, 'pid'), { force: true })
    const ended = await run([QEMU, ...argv])
    if (ended.stderr !== '') err(ended.stderr)
    if (ended.status !== 0) {
      await removeCards(cards)
      throw new PveError(`start failed: QEMU exited with code ${ended.status}`)
    }
    for (const { id } of cards.filter((card) => card.linkDown)) {
      await qmp(vmid, 'set_link', { name: id, up: false })
    }
    watch(vmid, cards)
  })
}

async function plugIn(cards: readonly Card[]): Promise<void> {
  for (const { tap, bridge, tag, id } of cards) {
    if (bridge === '') continue
    const mtu = bridgeMtu(bridge)
    // A VLAN of a bridge is a bridge of its own here: not every kernel's bridges know VLANs.
    const network = tag === undefined ? bridge : `${bridge}v${tag}`
    const made = existsSync(`/sys/class/net/${network}`)
    const commands = [
      ...(made
        ? []
        : [`link add ${network} type bridge`, `link set ${network} mtu ${mtu}`, `link set ${network} up`]),
      `tuntap add dev ${tap} mode tap`,
      `link set ${tap} mtu ${mtu}`,
      `link set ${tap} master ${network}`,
      `link set ${tap} up`,
    ]
    const { status, stderr } = await run(['ip', '-batch', '-'], { input: `${commands.join('\n')}\n` })
    if (status !== 0) throw new PveError(`can't plug ${id} into bridge '${bridge}': ${stderr.trim()}`)
  }
}

/** Takes away the TAP devices of a VM that does not run. */
export async function removeCards(cards: readonly Card[]): Promise<void> {
  for (const { tap } of cards) {
    if (existsSync(`/sys/class/net/${tap}`)) await run(['ip', 'link', 'delete', tap])
  }
}

/**
 * Looks after a VM until its end: a kernel that an emulator has cost its first timer is reset, and the TAP devices go
 * with the VM.
 */
function watch(vmid: number, cards: readonly Card[]): void {
  const pid = readFileSync(runFile(vmid, 'pid'), 'utf8').trim()
  const script = [
    `tail --pid=${pid} -n 0 -F '${consoleLog(vmid)}' 2>/dev/null | while IFS= read -r line; do`,
    `case $line in *"IO-APIC + timer doesn't work"*) "$@";; esac; done`,
    // Until QEMU has ended, whatever its console is.
    `while kill -0 ${pid} 2>/dev/null; do sleep 1; done`,
    // Unless it has been started again meanwhile.
    `[ -e ${runFile(vmid, 'pid')} ] && [ "$(cat ${runFile(vmid, 'pid')})" != ${pid} ] && exit`,
    ...cards.map(({ tap }) => `ip link delete ${tap} 2>/dev/null`),
  ]
  const reset = [process.execPath, process.argv[1] ?? '', '--reset', String(vmid)]
  const child = spawn('/bin/sh', ['-c', script.join('\n'), 'watch', ...reset], {
    stdio: 'ignore',
    detached: true,
  })
  child.unref()
}
