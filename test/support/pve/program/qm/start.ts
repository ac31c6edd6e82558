import { PveError } from '../failure.ts'
import type { Call } from '../getopt.ts'
import { loadConfig } from '../vm-config.ts'
export async function start(call: Call): Promise<void> {
  await startVm(Number(call.values.get('vmid')))
}
export async function startVm(vmid: number): Promise<void> {
  const { values } = loadConfig(vmid, 255)
  if (values.get('template') === '1') throw new PveError("you can't start a vm if it's a template")
}
