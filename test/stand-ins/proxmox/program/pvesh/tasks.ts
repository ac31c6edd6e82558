import { existsSync, readFileSync } from 'node:fs'

/** The tasks of this node's workers that have ended, latest first. */
export function listTasks(limit: number, vmid: string | undefined): object[] {
  const index = '/var/log/pve/tasks/index'
  if (!existsSync(index)) return []
  return readFileSync(index, 'utf8')
    .trimEnd()
    .split('\n')
    .map(readTask)
    .filter((task) => vmid === undefined || task.id === vmid)
    .reverse()
    .slice(0, limit)
}

function readTask(line: string) {
  const [, upid = '', end = '', status = ''] = /^(\S+) (\S+) (.*)$/.exec(line) ?? []
  const [, node, pid = '', pstart = '', start = '', type, id, user] = upid.split(':')
  const number = (hex: string) => Number.parseInt(hex, 16)
  return {
    endtime: number(end),
    id,
    node,
    pid: number(pid),
    pstart: number(pstart),
    starttime: number(start),
    status,
    type,
    upid,
    user,
  }
}
