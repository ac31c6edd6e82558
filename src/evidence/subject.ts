import { stableUuid } from '../image/stable-uuid.ts'

/** The image that evidence is about. Digests are SHA-256, hex. */
export interface EvidenceSubject {
  readonly image: string
  readonly version: string
  readonly description: string
  readonly base: string
  /** Seconds since 1970: the time of the image, not of its build. */
  readonly epoch: number
  readonly rawSha256: string
  readonly qcow2: { readonly file: string; readonly sha256: string }
}

/** The image's time in ISO 8601: the same for every build of the same lock. */
export function timeOf({ epoch }: EvidenceSubject): string {
  return new Date(epoch * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** A UUID that only depends on the disk. */
export function uuidOf({ rawSha256 }: EvidenceSubject): string {
  return stableUuid(`${rawSha256} bill of materials`)
}
