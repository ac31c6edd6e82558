import { deployCommand } from '../../commands/deploy.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step, StepOutcome } from '../step.ts'
import { formatSummary } from '../summary.ts'

/** `command: deploy`: makes a template of a release on a Proxmox VE host. */
export async function deployStep(inputs: InputsOf<'deploy'>, step: Step): Promise<StepOutcome> {
  const { image = inputs.tag?.image ?? '', tag, version, storage, repository } = inputs
  const dryRun = inputs['dry-run'] ?? false
  const which = version ?? tag?.version ?? 'promoted'
  const result = await deployCommand(
    {
      image,
      which,
      dryRun,
      ...(storage === undefined ? {} : { storage }),
      ...(repository === undefined ? {} : { repository }),
    },
    step.context,
  )
  const { vmid, host, changed, before } = result
  const template = vmid === null ? 'a new template' : `template ${vmid}`
  const remark = changed
    ? `${dryRun ? 'Would become' : 'Is now'} ${template} on ${host}${before === null || before === vmid ? '' : `, replacing template ${before}`}.`
    : `Already deployed: ${template} on ${host}.`
  return {
    outputs: {
      version: result.version,
      changed,
      ...(vmid === null ? {} : { 'template-vmid': vmid }),
    },
    summary: formatSummary({
      image: result.image,
      version: result.version,
      progress: {
        ...(dryRun
          ? { reached: which === 'promoted' ? 'promoted' : 'candidate' }
          : { reached: 'deployed', notes: { deployed: `${host}: ${vmid ?? ''}` } }),
        ...(which === 'candidate' ? { skipped: 'promoted' } : {}),
      },
      remarks: [remark],
    }),
  }
}
