import { z } from 'zod'
import type { Manifest } from '../../build/manifest.ts'
import type { BuildRecord } from '../format/build-record.ts'
import { type TestRecord, tallyOf, tallySchema } from '../format/test-report.ts'
import { compareInventories, filesDifferenceSchema } from './files-difference.ts'

const names = z.array(z.string()).readonly()
/** A package or an upstream tarball that only one of the images has. */
const component = z.object({ name: z.string(), version: z.string() }).readonly()
/** A number before and after. */
const change = z.object({ before: z.number(), after: z.number() }).readonly()

export type Change = z.output<typeof change>

/** The difference between two versions of an image. */
export const differenceSchema = z
  .object({
    before: z.string(),
    after: z.string(),
    /** The disks are the same, bit for bit. */
    identical: z.boolean(),
    added: z.array(component).readonly(),
    removed: z.array(component).readonly(),
    changed: z
      .array(z.object({ name: z.string(), before: z.string(), after: z.string() }).readonly())
      .readonly(),
    /** Bytes. */
    sizes: z.object({ qcow2: change, disk: change, usr: change }).readonly(),
    /** Milliseconds of the first boot; absent unless both were measured on the same kind of machine. */
    boot: change.optional(),
    /** The kernel's command line, without the digests of /usr. Absent when it is the same. */
    commandLine: z.object({ before: z.string(), after: z.string() }).readonly().optional(),
    /** Ports that the firewall opens, as `ROLE PROTOCOL/PORT`. */
    ports: z.object({ opened: names, closed: names }).readonly(),
    /** Absent unless the files of both are known. */
    files: filesDifferenceSchema.optional(),
    /** Absent unless both were tested. */
    checks: z
      .object({
        before: tallySchema,
        after: tallySchema,
        /** Names of checks that passed before and do not pass now, and the other way round. */
        broken: names,
        mended: names,
        added: names,
        removed: names,
      })
      .readonly()
      .optional(),
  })
  .readonly()

export type Difference = z.output<typeof differenceSchema>

/** Compares two versions of an image, sorted by name. */
export function differenceOf(before: BuildRecord, after: BuildRecord): Difference {
  const [was, is] = [before.manifest, after.manifest]
  const [old, now] = [componentsOf(was), componentsOf(is)]
  const all = [...new Set([...old.keys(), ...now.keys()])].sort()
  const only = (here: Map<string, string>, there: Map<string, string>) =>
    all.flatMap((name) => {
      const version = here.get(name)
      return version !== undefined && !there.has(name) ? [{ name, version }] : []
    })
  return {
    before: was.version,
    after: is.version,
    identical: was.raw.sha256 === is.raw.sha256,
    added: only(now, old),
    removed: only(old, now),
    changed: all.flatMap((name) => {
      const [left, right] = [old.get(name), now.get(name)]
      return left !== undefined && right !== undefined && left !== right
        ? [{ name, before: left, after: right }]
        : []
    }),
    sizes: {
      qcow2: { before: was.qcow2.size, after: is.qcow2.size },
      disk: { before: was.raw.size, after: is.raw.size },
      usr: { before: was.usr.size, after: is.usr.size },
    },
    boot: bootChange(before.record, after.record),
    commandLine: commandLineChange(was, is),
    ports: { opened: without(portsOf(is), portsOf(was)), closed: without(portsOf(was), portsOf(is)) },
    files: before.inventory && after.inventory && compareInventories(before.inventory, after.inventory),
    checks: checkChange(before.record, after.record),
  }
}

function componentsOf({ packages, artifacts, containers }: Manifest): Map<string, string> {
  return new Map([
    ...Object.entries(packages),
    ...Object.entries({ ...artifacts, ...containers }).map(([name, { version }]): [string, string] => [
      name,
      version,
    ]),
  ])
}

function commandLineChange(before: Manifest, after: Manifest): Difference['commandLine'] {
  const [was, is] = [before, after].map(({ kernel }) =>
    kernel.commandLine.replace(/\b(usrhash|seeder\.usr)=\S+\s*/g, ''),
  )
  return was === undefined || is === undefined || was === is ? undefined : { before: was, after: is }
}

function portsOf({ ports }: Manifest): string[] {
  return Object.entries(ports).flatMap(([role, open]) => open.map((port) => `${role} ${port}`))
}

function without(some: readonly string[], others: readonly string[]): string[] {
  return some.filter((item) => !others.includes(item))
}

function bootChange(before?: TestRecord, after?: TestRecord): Change | undefined {
  // An emulated boot takes several times as long as one with KVM.
  if (before?.accelerator.kind !== after?.accelerator.kind) return undefined
  const [was, is] = [before?.boot.readyMs ?? undefined, after?.boot.readyMs ?? undefined]
  return was === undefined || is === undefined ? undefined : { before: was, after: is }
}

function checkChange(before?: TestRecord, after?: TestRecord): Difference['checks'] {
  if (!before || !after) return undefined
  const statuses = ({ checks }: TestRecord) => new Map(checks.map(({ name, status }) => [name, status]))
  const [old, now] = [statuses(before), statuses(after)]
  const passes = (checks: Map<string, string>, name: string) => checks.get(name) === 'passed'
  const shared = [...now.keys()].filter((name) => old.has(name))
  return {
    before: tallyOf(before),
    after: tallyOf(after),
    broken: shared.filter((name) => passes(old, name) && !passes(now, name)),
    mended: shared.filter((name) => !passes(old, name) && passes(now, name)),
    added: [...now.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
  }
}
