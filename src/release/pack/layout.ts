import type { Member, Pack } from '../contents.ts'

/** A tar's unit: a header is one, and contents are filled up to whole ones. */
const BLOCK = 512
/** GNU tar fills a file up to a whole number of these (tar(1), --blocking-factor). */
const RECORD = 20 * BLOCK
/** Two blocks of zeros end a tar. */
const END = 2 * BLOCK

/** Bytes of a pack. */
export interface Span {
  readonly sha256: string
  /** Where it begins in the pack. */
  readonly start: number
  readonly size: number
}

/** The name of a release's pack: no bundle, as most of a bundle's files may be elsewhere. */
export function packName(tag: string): string {
  return `${tag}.pack.tar`
}

/** Whether a release has an asset that is its pack, or a part of it. */
export function isPackAsset(name: string): boolean {
  return /\.pack\.tar(\.part-\d+)?$/.test(name)
}

/** Where each file of a pack is: the order and the sizes say it. */
export function spansOf(members: readonly Member[]): Span[] {
  let at = 0
  return members.map(({ sha256, size }) => {
    const span = { sha256, size, start: at + BLOCK }
    at = span.start + filled(size, BLOCK)
    return span
  })
}

/** Bytes of the whole pack. */
export function packSize(members: readonly Member[]): number {
  const content = members.reduce((sum, { size }) => sum + BLOCK + filled(size, BLOCK), 0)
  return filled(content + END, RECORD)
}

/** Bytes between two wanted files that are rather read than left out: a request costs about as much. */
const GAP = 256 * 1024

/** The wanted files of a pack, in order, with those that are close to each other together: a request for each group. */
export function runsOf({ members }: Pick<Pack, 'members'>, wanted: ReadonlySet<string>): Span[][] {
  const runs: Span[][] = []
  for (const span of spansOf(members)) {
    if (!wanted.has(span.sha256)) continue
    const last = runs.at(-1)?.at(-1)
    if (last && span.start - (last.start + last.size) <= GAP) runs.at(-1)?.push(span)
    else runs.push([span])
  }
  return runs
}

function filled(size: number, unit: number): number {
  return Math.ceil(size / unit) * unit
}
