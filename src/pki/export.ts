import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { workIn } from '../files/disk-error.ts'
import { UsageError } from '../report/error.ts'
import { readInventory } from './inventory.ts'
import type { AuthorityName } from './profile.ts'
import { type Place, readSession } from './session.ts'
import { requireAuthority } from './validity.ts'

/** The images that may contain a CA's certificate, as /etc/seeder/trust/NAME.crt. */
const bakedInto: Readonly<Record<AuthorityName, readonly string[]>> = {
  'etcd-ca': ['etcd', 'kubernetes-node'],
  'kubernetes-ca': ['haproxy'],
  // Only the API servers need it, and kubeadm gives it to them.
  'front-proxy-ca': [],
}

/** A CA's certificate in a checkout. */
export interface Exported {
  readonly authority: AuthorityName
  readonly file: string
  readonly outcome: 'written' | 'kept'
}

/**
 * Writes the certificates of CAs, and nothing else, into the `trust` folders of a project's images.
 * @throws UsageError when no image takes one of them, or a file there has other certificates
 * @throws SeederError when there is no such CA
 */
export async function exportTrust(
  place: Place,
  project: string,
  names: readonly AuthorityName[],
): Promise<Exported[]> {
  const authorities = await readSession(place, async ({ folder }) => {
    const inventory = await readInventory(folder)
    const now = new Date()
    return names.map((name) => ({ name, certificate: requireAuthority(name, inventory, now) }))
  })
  const plan = authorities.flatMap(({ name, certificate }) => {
    const images = bakedInto[name].filter((image) => existsSync(join(project, 'images', image)))
    if (images.length === 0) {
      throw new UsageError(`No image of ${project} has a use for ${name}`, {
        fix: 'export one of the other CAs',
      })
    }
    return images.map((image) => ({
      authority: name,
      certificate,
      trust: join(project, 'images', image, 'trust'),
      file: join(project, 'images', image, 'trust', `${name}.crt`),
    }))
  })
  const outcomes = await Promise.all(plan.map(({ file, certificate }) => compare(file, certificate)))
  const exported: Exported[] = []
  for (const [index, { authority, certificate, trust, file }] of plan.entries()) {
    const outcome = outcomes[index] ?? 'written'
    if (outcome === 'written') await workIn(trust, () => write(trust, file, certificate))
    exported.push({ authority, file, outcome })
  }
  return exported
}

async function write(trust: string, file: string, certificate: X509Certificate): Promise<void> {
  // Builds and git ignore this name.
  const partial = `${file}.tmp`
  await mkdir(trust, { recursive: true })
  try {
    await writeFile(partial, certificate.toString(), { mode: 0o644, flush: true })
    await rename(partial, file)
  } finally {
    await rm(partial, { force: true })
  }
}

/** Whether the file already has the certificate, alone or among others. */
async function compare(file: string, certificate: X509Certificate): Promise<Exported['outcome']> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return ''
  })
  if (text.trim() === '') return 'written'
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.some((block) => block.replace(/\s/g, '') === certificate.toString().replace(/\s/g, '')))
    return 'kept'
  const found = describe(blocks[0])
  throw new UsageError(`${file} has another certificate: ${found}`, {
    fix: 'remove the file to replace it; while one CA takes the other’s place, append the new certificate by hand: both count then',
  })
}

function describe(block: string | undefined): string {
  try {
    const certificate = new X509Certificate(block ?? '')
    return `${certificate.subject.replaceAll('\n', ', ')}, SHA-256 ${certificate.fingerprint256.slice(0, 23)}…`
  } catch {
    return 'it is not one that can be read'
  }
}
