import { createHash } from 'node:crypto'

/** What a suite's Release file says of itself. */
export interface ReleaseHead {
  readonly origin: string
  readonly label: string
  readonly suite: string
  readonly codename: string
  /** None for a flat repository. */
  readonly components: readonly string[]
  readonly date: Date
  /** When set, apt takes the suite's indexes for outdated after it. */
  readonly validUntil?: Date
  readonly acquireByHash?: boolean
}

/** A Release file; `indexes` are the files that it vouches for, by their paths beside it. */
export function releaseText(head: ReleaseHead, indexes: ReadonlyMap<string, Buffer>): string {
  return [
    `Origin: ${head.origin}`,
    `Label: ${head.label}`,
    `Suite: ${head.suite}`,
    `Codename: ${head.codename}`,
    'Architectures: amd64',
    ...(head.components.length > 0 ? [`Components: ${head.components.join(' ')}`] : []),
    `Date: ${head.date.toUTCString()}`,
    ...(head.validUntil ? [`Valid-Until: ${head.validUntil.toUTCString()}`] : []),
    ...(head.acquireByHash ? ['Acquire-By-Hash: yes'] : []),
    'SHA256:',
    ...[...indexes].map(([path, content]) => ` ${sha256(content)} ${content.length} ${path}`),
    '',
  ].join('\n')
}

/** A package's paragraph of an index, from its control fields; `filename` is below the archive's URL. */
export function indexParagraph(
  control: string,
  deb: { filename: string; size: number; sha256: string },
): string {
  return `${control.trimEnd()}\nFilename: ${deb.filename}\nSize: ${deb.size}\nSHA256: ${deb.sha256}\n`
}

/** SHA-256 in hex. */
export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}
