import { z } from 'zod'
import type { Manifest } from '../../build/manifest.ts'
import type { Release } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { signText, verifyText } from '../signature/signature.ts'

/** What the signature of a confirmation is for: one of a release is not taken for it, nor the other way round. */
const CONFIRMATION_NAMESPACE = 'seeder-rebuild'

const statementSchema = z.object({
  image: z.string(),
  version: z.string(),
  /** Of the disk that came of the second build. */
  raw: z.string(),
  lock: z.string(),
  /** A URI that says who answers for that build. */
  builder: z.string(),
})

const confirmationSchema = z.object({ statement: statementSchema, signature: z.string() })

/** That somebody else has built a version and got the same disk, signed by them. */
export type Confirmation = z.output<typeof confirmationSchema>

/** In the body of a release: what may be written there when its files cannot be added to any more. */
const IN_BODY = /<!-- seeder: confirmation ([A-Za-z0-9_-]+) -->/g

/** The bytes that are signed: keys in a fixed order. */
function textOf({ image, version, raw, lock, builder }: Confirmation['statement']): string {
  return `${JSON.stringify({ image, version, raw, lock, builder })}\n`
}

/** A signed confirmation of a build. Throws UsageError for a key that ssh-keygen does not take. */
export async function makeConfirmation(
  manifest: {
    readonly image: string
    readonly version: string
    readonly raw: Pick<Manifest['raw'], 'sha256'>
    readonly lock: Manifest['lock']
  },
  builder: string,
  key: string,
): Promise<Confirmation> {
  const { image, version, raw, lock } = manifest
  const statement = { image, version, raw: raw.sha256, lock: lock.sha256, builder }
  return { statement, signature: await signText(key, textOf(statement), CONFIRMATION_NAMESPACE) }
}

/** A body with one more confirmation, which nobody sees; the same one is there once. */
export function withConfirmation(body: string, confirmation: Confirmation): string {
  const text = Buffer.from(JSON.stringify(confirmation)).toString('base64url')
  const line = `<!-- seeder: confirmation ${text} -->`
  return body.includes(line) ? body : `${body.trimEnd()}\n${line}\n`
}

/** The confirmations in a body; what is none is left out, as anybody who may write can put something there. */
export function confirmationsOf({ body }: Pick<Release, 'body'>): Confirmation[] {
  return [...body.matchAll(IN_BODY)].flatMap(([, text = '']) => {
    try {
      return [confirmationSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString()))]
    } catch {
      return []
    }
  })
}

/**
 * Who has confirmed a release: the names of those in `allowedSigners` whose signature is on a statement of this very disk and
 * lock. One that does not verify counts as none, and one by another name of `signer`, who signed the release, as theirs.
 */
export async function confirmers(
  release: Pick<Release, 'body'>,
  { image, version, raw, lock }: Pick<Manifest, 'image' | 'version' | 'raw' | 'lock'>,
  allowedSigners: string,
  signer?: string,
): Promise<string[]> {
  const names = new Set<string>()
  for (const { statement, signature } of confirmationsOf(release)) {
    const isOfIt =
      statement.image === image &&
      statement.version === version &&
      statement.raw === raw.sha256 &&
      statement.lock === lock.sha256
    if (!isOfIt) continue
    const found = await verifyText(textOf(statement), signature, allowedSigners, CONFIRMATION_NAMESPACE)
    if (!found) continue
    names.add(signer !== undefined && found.names.includes(signer) ? signer : found.name)
  }
  return [...names].sort()
}

/**
 * Makes sure that enough builders have got the same disk. Whoever signed the release is the first of them.
 * Throws SeederError when there are fewer than `needed`.
 */
export function requireBuilders(
  tag: string,
  needed: number,
  signer: string | undefined,
  confirmed: readonly string[],
): void {
  const builders = new Set([...(signer === undefined ? [] : [signer]), ...confirmed])
  if (builders.size >= needed) return
  const who = builders.size === 0 ? 'nobody has signed it' : `only ${[...builders].join(', ')} signed it`
  throw new SeederError(
    `${tag} is not to be promoted: platform.yaml requires ${needed} builders, and ${who}`,
    {
      fix: `build it elsewhere and let that builder say so: seeder confirm ${tag} DIR`,
    },
  )
}
