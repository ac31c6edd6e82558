import { z } from 'zod'
import { foreignLine } from '../report/text-schemas.ts'

/** The ways in which a machine can differ from its image and its first boot, as `seeder-drift` names them. */
export const driftKinds = [
  'usr-damaged',
  'usr-replaced',
  'kernel-changed',
  'kernel-added',
  'list-changed',
  'file-changed',
  'file-added',
  'file-removed',
  'unit-enabled',
  'unit-disabled',
  'unit-masked',
  'unit-failed',
  'unit-stopped',
] as const

/** Maximum number of findings that a machine reports (`most` of seeder-drift); the host adds its own. */
const MOST_FINDINGS = 200
const MOST_ACCEPTED = 10_000

const findingSchema = z.object({
  kind: z.enum(driftKinds),
  /** The file or unit. */
  name: foreignLine,
  detail: foreignLine,
})

/** What `seeder-drift check` prints in a machine. */
export const driftResultSchema = z.object({
  schema: z.literal(1),
  image: foreignLine,
  version: foreignLine,
  /** pending: first boot is running, or has not succeeded yet, so that nothing was compared. */
  state: z.enum(['clean', 'drifted', 'pending']),
  /** ISO 8601. */
  taken: z.iso.datetime(),
  /**
   * dm-verity's root hash of /usr as the kernel has it, and SHA-256 of the UKI on the disk; empty when not compared.
   */
  roothash: foreignLine.regex(/^([0-9a-f]{64})?$/),
  uki: foreignLine.regex(/^([0-9a-f]{64})?$/),
  /** SHA-256 of the image's list of files. */
  list: foreignLine,
  /** Paths that an operator has accepted as they are. */
  accepted: z.array(foreignLine).max(MOST_ACCEPTED),
  /** The number of findings; `findings` has only the first of very many. */
  total: z.int().nonnegative(),
  findings: z.array(findingSchema).max(MOST_FINDINGS),
})

export type DriftResult = z.output<typeof driftResultSchema>
export type DriftFinding = z.output<typeof findingSchema>

const templateSchema = z.object({
  image: foreignLine,
  version: foreignLine,
  vmid: z.int(),
  node: foreignLine,
  /**
   * intact      its disk has the digest that was recorded when it was made
   * changed     its disk has another digest
   * foreign     the VM of this number is not the one that was made
   * missing     there is no such VM
   * unreadable  its disk cannot be read
   */
  state: z.enum(['intact', 'changed', 'foreign', 'missing', 'unreadable']),
  sha256: foreignLine,
  found: foreignLine.nullable(),
})

/** What `deploy.sh --check --json` prints. */
export const templateChecksSchema = z.object({ templates: z.array(templateSchema) })

export type TemplateCheck = z.output<typeof templateSchema>

/** A clone, and what it reports about itself. */
export const nodeDriftSchema = z.object({
  /** The VM's name. */
  name: foreignLine,
  vmid: z.int(),
  /** The image and version of the template that it was made of. */
  image: foreignLine,
  version: foreignLine,
  /**
   * clean, drifted, pending  as it reports, corrected by what the host knows
   * unasked                  it does not run, or not on this host
   * unknown                  it runs, but did not report
   */
  state: z.enum(['clean', 'drifted', 'pending', 'unasked', 'unknown']),
  /** Why the state is unasked or unknown; else empty. */
  reason: foreignLine,
  total: z.int().nonnegative(),
  findings: z.array(findingSchema),
  accepted: z.array(foreignLine),
})

export type NodeDrift = z.output<typeof nodeDriftSchema>

/** What `seeder status --drift --json` prints. */
export const driftReportSchema = z.object({
  schema: z.literal(1),
  /** The Proxmox node, and when it was checked; ISO 8601. */
  host: foreignLine,
  taken: z.iso.datetime(),
  nodes: z.array(nodeDriftSchema),
  templates: z.array(templateSchema),
})

export type DriftReport = z.output<typeof driftReportSchema>
