import { spawn, spawnSync } from 'node:child_process'
import { existsSync, openSync, writeFileSync, writeSync } from 'node:fs'
import type { ActiveFault, FaultMoment } from '../fault.ts'
import { clusterMount } from '../layout.ts'
import { PveError } from './failure.ts'
import { err } from './output.ts'
import { isInterrupted } from './processes.ts'

let active: readonly ActiveFault[] = []
/** Requests that the process which waits for a worker ends its process group. */
let requestKill: (() => Promise<void>) | undefined

/** The faults that this call is to have. */
export function setActiveFaults(faults: readonly ActiveFault[], kill?: () => Promise<void>): void {
  active = faults
  requestKill = kill
}

export function activeFaults(): readonly ActiveFault[] {
  return active
}

/** The fault of a kind that this call is to have, if any. */
export function activeFault<K extends ActiveFault['kind']>(
  kind: K,
): Extract<ActiveFault, { kind: K }> | undefined {
  return active.find((one): one is Extract<ActiveFault, { kind: K }> => one.kind === kind)
}

/** Whether something is to happen at a moment of this call. */
export function isMarked(moment: FaultMoment): boolean {
  return active.some((fault) => 'when' in fault && fault.when === moment)
}

/** A moment of a call's work at which a test may want its end. */
export async function passMoment(moment: FaultMoment): Promise<void> {
  for (const fault of active) {
    if (!('when' in fault) || fault.when !== moment) continue
    if (fault.kind === 'fail') {
      err(fault.stderr.replace(/\n?$/, '\n'))
      throw new InjectedFailure(fault.status)
    }
    if (fault.kind === 'cluster-gone') loseCluster(fault.seconds)
    else if (fault.kind === 'pause') await release()
    else if (fault.kind === 'power-cut') await cutPower()
    else if (requestKill !== undefined) await requestKill()
    else process.kill(0, 'SIGKILL')
  }
}

/** A failure that has said everything already. */
export class InjectedFailure extends PveError {
  constructor(status: number) {
    super('', status)
  }
}

async function release(): Promise<void> {
  writeFileSync('/run/stand-in/paused', '')
  while (!existsSync('/run/stand-in/released')) {
    if (isInterrupted()) throw new PveError('interrupted by signal')
    await new Promise((wake) => setTimeout(wake, 20))
  }
}

function loseCluster(seconds: number | undefined): void {
  spawnSync('/bin/umount', ['--lazy', '/etc/pve'])
  if (seconds === undefined) return
  const script = `sleep ${seconds}; exec mount --bind ${clusterMount} /etc/pve`
  spawn('/bin/sh', ['-c', script], { stdio: 'ignore', detached: true }).unref()
}

async function cutPower(): Promise<never> {
  writeSync(openSync('/run/stand-in/power', 'r+'), '!')
  return new Promise(() => setInterval(() => undefined, 1000))
}
