import { z } from 'zod'
import type { Manifest } from '../../build/manifest.ts'
import type { Release } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { signText, verifyText } from '../signature/signature.ts'

/** The namespace keeps signatures of confirmations and of releases apart. */
const CONFIRMATION_NAMESPACE = 'seeder-rebuild'

const statementSchema = z.object({
  image: z.string(),
  version: z.string(),
  /** sha256 of the disk of the second build. */
  raw: z.string(),
  lock: z.string(),
  /** A URI of who is responsible for that build. */
  builder: z.string(),
})

const confirmationSchema = z.object({ statement: statementSchema, signature: z.string() })

/** A signed statement that another builder got the same disk. */
export type Confirmation = z.output<typeof confirmationSchema>

/** In the body of a release, which can be changed even when its assets cannot. */
const IN_BODY = /<!-- seeder: confirmation ([A-Za-z0-9_-]+) -->/g

/** The bytes that are signed: keys in a fixed order. */
function textOf({ image, version, raw, lock, builder }: Confirmation['statement']): string {
  return `${JSON.stringify({ image, version, raw, lock, builder })}\n`
}

/**
 * Signs a confirmation.
 * @throws UsageError for a key that ssh-keygen does not accept
 */
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

/** Adds a confirmation to a body as an HTML comment, once. */
export function withConfirmation(body: string, confirmation: Confirmation): string {
  const text = Buffer.from(JSON.stringify(confirmation)).toString('base64url')
  const line = `<!-- seeder: confirmation ${text} -->`
  return body.includes(line) ? body : `${body.trimEnd()}\n${line}\n`
}

/** The confirmations in a body. Invalid ones are ignored: anybody who may write can put them there. */
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
 * The names in `allowedSigners` of those who signed a confirmation of this disk and lock. A confirmation under another
 * name of `signer`, who signed the release, counts as theirs.
 */
export async function confirmers(
  release: Pick<Release, 'body'>,
  { image, version, raw, lock }: Pick<Manifest, 'image' | 'version' | 'raw' | 'lock'>,
  allowedSigners: string,
  signer?: string,
): Promise<string[]> {
  const names = new Set<string>()
  for (const { statement, signature } of confirmationsOf(release)) {
    const matches =
      statement.image === image &&
      statement.version === version &&
      statement.raw === raw.sha256 &&
      statement.lock === lock.sha256
    if (!matches) continue
    const found = await verifyText(textOf(statement), signature, allowedSigners, CONFIRMATION_NAMESPACE)
    if (!found) continue
    names.add(signer !== undefined && found.names.includes(signer) ? signer : found.name)
  }
  return [...names].sort()
}

/**
 * Requires that enough builders got the same disk. Whoever signed the release is the first of them.
 * @throws SeederError when there are fewer than `needed`
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
  throw new SeederError(`${tag} cannot be promoted: platform.yaml requires ${needed} builders, and ${who}`, {
    fix: `build it elsewhere, and confirm it there: seeder confirm ${tag} DIR`,
  })
}
