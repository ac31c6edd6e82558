import { readFileSync } from 'node:fs'

const runFolder = '/var/run/qemu-server'

/** Where a running VM's files are: `pid`, `qmp`, `qga`, `serial0`. */
export function runFile(vmid: number, kind: string): string {
  return `${runFolder}/${vmid}.${kind}`
}

/** The process of a VM that runs. */
export function runningPid(vmid: number): number | undefined {
  try {
    const pid = Number(readFileSync(runFile(vmid, 'pid'), 'utf8').trim())
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    return command.includes(`unix:${runFile(vmid, 'qmp')},`) ? pid : undefined
  } catch {
    return undefined
  }
}
