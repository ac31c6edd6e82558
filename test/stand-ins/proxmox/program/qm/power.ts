import { PveError } from '../failure.ts'
import { passMoment } from '../faults.ts'
import type { Call } from '../getopt.ts'
import { withConfigLock } from '../locks.ts'
import { say } from '../output.ts'
import { runningPid } from '../running.ts'
import { callGuest } from '../vm/guest-port.ts'
import { cardsOf, isAgentEnabled } from '../vm/machine.ts'
import { qmp } from '../vm/qmp.ts'
import { checkLock, loadConfig } from '../vm-config.ts'
import { inWorker } from '../worker.ts'
import { removeCards, startVm } from './start.ts'

const shutdownSeconds = 180
const quitMs = 10_000

interface StopWork {
  readonly vmid: number
  /** Seconds a guest gets to power off by itself; undefined to end the VM at once. */
  readonly timeout: number | undefined
  readonly force: boolean
}

/** `qm stop`. */
export async function stop({ values }: Call): Promise<void> {
  await end(Number(values.get('vmid')), values.get('skiplock') === '1', undefined, true, 'qmstop')
}

/** `qm shutdown`. */
export async function shutdown({ values }: Call): Promise<void> {
  const vmid = Number(values.get('vmid'))
  const timeout = Number(values.get('timeout') ?? shutdownSeconds)
  loadConfig(vmid)
  if (runningPid(vmid) === undefined) throw new PveError(`VM ${vmid} not running`)
  await end(vmid, values.get('skiplock') === '1', timeout, values.get('forceStop') === '1', 'qmshutdown')
}

/** `qm reboot`. */
export async function reboot({ values }: Call): Promise<void> {
  const vmid = Number(values.get('vmid'))
  const timeout = Number(values.get('timeout') ?? shutdownSeconds)
  loadConfig(vmid)
  if (runningPid(vmid) === undefined) throw new PveError(`VM ${vmid} not running`)
  await end(vmid, false, timeout, false, 'qmreboot')
  await startVm(vmid)
}

async function end(
  vmid: number,
  skipLock: boolean,
  timeout: number | undefined,
  force: boolean,
  task: string,
): Promise<void> {
  const config = loadConfig(vmid)
  if (!skipLock) checkLock(config)
  const work: StopWork = { vmid, timeout, force }
  await inWorker(task, String(vmid), work)
}

/** The worker's part. */
export async function stopWork({ vmid, timeout, force }: StopWork): Promise<void> {
  await withConfigLock(vmid, async () => {
    const { values } = loadConfig(vmid)
    const pid = runningPid(vmid)
    if (pid === undefined) return
    if (timeout !== undefined) {
      if (isAgentEnabled(values)) await callGuest(vmid, 'guest-shutdown', { mode: 'powerdown' })
      else await qmp(vmid, 'system_powerdown')
      await passMoment('middle')
      const ended = await waitForEnd(vmid, timeout * 1000)
      if (!ended && !force) throw new PveError('VM quit/powerdown failed - got timeout')
      if (!ended) say('VM still running - terminating now with SIGTERM')
    }
    if (runningPid(vmid) !== undefined) await qmp(vmid, 'quit').catch(() => undefined)
    if (!(await waitForEnd(vmid, quitMs))) process.kill(pid, 'SIGKILL')
    await waitForEnd(vmid, quitMs)
    await removeCards(cardsOf(vmid, values))
  })
}

async function waitForEnd(vmid: number, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (runningPid(vmid) !== undefined) {
    if (Date.now() >= deadline) return false
    await new Promise((wake) => setTimeout(wake, 100))
  }
  return true
}
