import { z } from 'zod'
import type { VendorFile } from '../../guest/vendor-data.ts'
import { NODE_ENV_PATH, vendorData } from '../../guest/vendor-data.ts'
import { secretKeys } from '../../platform/roles.ts'
import { type Argv, shellWords } from '../commands.ts'
import { addCommand, COMMAND_SECONDS, promoteCommand } from './etcd.ts'
import { guestCommand } from './guest.ts'
import type { NodePlan } from './plan.ts'

/** A plan for a program, without secrets. */
export const shownPlanSchema = z
  .object({
    name: z.string(),
    role: z.string(),
    vmid: z.int(),
    template: z.object({ vmid: z.int(), version: z.string() }).readonly(),
    addresses: z.record(z.string(), z.string()).readonly(),
    file: z.object({ path: z.string(), mode: z.string(), content: z.string() }).readonly(),
    commands: z.array(z.array(z.string()).readonly()).readonly(),
  })
  .readonly()

export type ShownPlan = z.output<typeof shownPlanSchema>

/** What a plan does, without keys and secret values. `start`: whether the node is started, too. */
export function showPlan(plan: NodePlan, start: boolean): ShownPlan {
  const { name, role, vmid, template, addresses, snippet, token } = plan.entry
  return {
    name,
    role,
    vmid,
    template,
    addresses,
    file: {
      path: snippet.file,
      mode: '0600',
      content: vendorData(token, plan.files.map(withoutSecrets)),
    },
    commands: [...plan.prepare.map(({ argv }) => argv), ...(start ? startCommands(plan) : [])],
  }
}

/**
 * The commands after the VM is complete; a member of etcd is added before it starts, and gets a vote when it is ready.
 */
function startCommands({ entry, start, joinsBy }: NodePlan): Argv[] {
  if (joinsBy === undefined) return [start]
  const inMember = (argv: Argv) => guestCommand(joinsBy, argv, COMMAND_SECONDS)
  return [inMember(addCommand(entry)), start, inMember(promoteCommand(entry.name))]
}

/** The plan for a person: the file with its content, and the commands, ready to be pasted. */
export function planText(shown: ShownPlan): string {
  const { name, role, vmid, template, addresses, file, commands } = shown
  const places = Object.entries(addresses).map(([zone, address]) => `${address} (${zone})`)
  return [
    `${name}: ${role}, VM ${vmid}, a clone of template ${template.vmid} (${template.version}), ${places.join(', ')}`,
    '',
    `  ${file.path}, mode ${file.mode}:`,
    ...file.content
      .trimEnd()
      .split('\n')
      .map((line) => `    ${line}`.trimEnd()),
    '',
    ...commands.map((argv) => `  ${shellWords(argv)}`),
  ].join('\n')
}

function withoutSecrets(file: VendorFile): VendorFile {
  if (/PRIVATE KEY-----/.test(file.content)) {
    const lines = file.content.trimEnd().split('\n').length
    return { ...file, content: `(a private key of ${lines} lines)\n` }
  }
  if (file.path !== NODE_ENV_PATH) return file
  const hidden = new RegExp(`^(${secretKeys.join('|')})=.*$`, 'gm')
  return { ...file, content: file.content.replace(hidden, '$1=(not shown)') }
}
