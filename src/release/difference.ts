import type { Manifest } from '../build/manifest.ts'
import { type Tally, type TestRecord, tallyOf } from './test-record.ts'

/** A finished image: what it is made of and, when it was proven, how that went. */
export interface Finished {
  readonly manifest: Manifest
  readonly record?: TestRecord | undefined
}

/** A package or an upstream tarball that is in one image only. */
export interface Component {
  readonly name: string
  readonly version: string
}

/** A number before and after. */
export interface Change {
  readonly before: number
  readonly after: number
}

/** What differs between two versions of an image. */
export interface Difference {
  readonly before: string
  readonly after: string
  /** The disks are the same, bit for bit. */
  readonly identical: boolean
  readonly added: readonly Component[]
  readonly removed: readonly Component[]
  readonly changed: readonly { readonly name: string; readonly before: string; readonly after: string }[]
  /** Bytes. */
  readonly sizes: { readonly qcow2: Change; readonly disk: Change; readonly usr: Change }
  /** Milliseconds to the end of the first boot; undefined when either was not measured, or on another kind of machine. */
  readonly boot: Change | undefined
  /** Undefined when either was not proven. */
  readonly checks:
    | {
        readonly before: Tally
        readonly after: Tally
        /** Names of checks that passed before and did not now, and the other way round. */
        readonly broken: readonly string[]
        readonly mended: readonly string[]
        readonly added: readonly string[]
        readonly removed: readonly string[]
      }
    | undefined
}

/** Compares two versions of an image, sorted by name. */
export function differenceOf(before: Finished, after: Finished): Difference {
  const [was, is] = [before.manifest, after.manifest]
  const [old, now] = [componentsOf(was), componentsOf(is)]
  const names = [...new Set([...old.keys(), ...now.keys()])].sort()
  const only = (here: Map<string, string>, there: Map<string, string>) =>
    names.flatMap((name) => {
      const version = here.get(name)
      return version !== undefined && !there.has(name) ? [{ name, version }] : []
    })
  return {
    before: was.version,
    after: is.version,
    identical: was.raw.sha256 === is.raw.sha256,
    added: only(now, old),
    removed: only(old, now),
    changed: names.flatMap((name) => {
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
    checks: checkChange(before.record, after.record),
  }
}

function componentsOf({ packages, artifacts }: Manifest): Map<string, string> {
  return new Map([
    ...Object.entries(packages),
    ...Object.entries(artifacts).map(([name, { version }]): [string, string] => [name, version]),
  ])
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
  const passes = (in_: Map<string, string>, name: string) => in_.get(name) === 'passed'
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
