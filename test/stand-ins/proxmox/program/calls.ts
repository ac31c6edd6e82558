import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { ActiveFault, Fault } from '../fault.ts'
import { clusterFolder, configPath } from './cluster.ts'

const control = '/run/stand-in'

/** Writes a call down and finds out what is to happen to it. */
export function noteCall(words: readonly string[]): readonly ActiveFault[] {
  const id = `${process.pid}-${process.hrtime.bigint()}`
  appendFileSync(`${control}/calls`, `${JSON.stringify({ id, words })}\n`)
  if (!existsSync(`${control}/faults.json`)) return []
  const faults: Fault[] = JSON.parse(readFileSync(`${control}/faults.json`, 'utf8'))
  const calls: { id: string; words: string[] }[] = readFileSync(`${control}/calls`, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const mine = calls.findIndex((one) => one.id === id)
  const upToMine = calls.slice(0, mine + 1).map((one) => one.words.join(' '))
  return faults.filter(({ match, at }) => {
    const pattern = new RegExp(match ?? '')
    const matching = upToMine.filter((text) => pattern.test(text))
    return matching.length === at && pattern.test(words.join(' '))
  })
}

/** What happens to the host before the call begins. */
export async function prepareHost(faults: readonly ActiveFault[]): Promise<void> {
  for (const fault of faults) {
    if (fault.kind === 'foreign-vm') {
      writeFileSync(`${clusterFolder}/${configPath(fault.vmid)}`, fault.config)
    } else if (fault.kind === 'storage-gone') {
      mkdirSync(`${control}/gone/${fault.storage}`, { recursive: true })
    } else if (fault.kind === 'hold-lock') {
      await holdLock(fault.vmid, fault.seconds)
    }
  }
}

async function holdLock(vmid: number, seconds: number): Promise<void> {
  mkdirSync('/var/lock/qemu-server', { recursive: true })
  const command = `flock -x 9; echo; exec sleep ${seconds}`
  const script = `exec 9>>/var/lock/qemu-server/lock-${vmid}.conf; ${command}`
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'], detached: true })
  await new Promise((held) => child.stdout.once('data', held))
  child.stdout.destroy()
  child.unref()
}
