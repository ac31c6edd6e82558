import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), license: z.string().optional(), dev: z.boolean().optional() }),
  ),
})

/**
 * The licences of all packages that a bundle may have in it, which are those of package-lock.json that are not for
 * development only.
 */
export async function collectLicenses(checkout: string): Promise<string> {
  const { packages } = lockSchema.parse(
    JSON.parse(await readFile(path.join(checkout, 'package-lock.json'), 'utf8')),
  )
  const used = Object.entries(packages).filter(([folder, one]) => folder !== '' && !one.dev)
  const texts = await Promise.all(
    used.map(async ([folder, { version = '', license = 'no licence named' }]) => {
      const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)
      return [
        `${name} ${version}`,
        license,
        '',
        (await readLicense(path.join(checkout, folder))).trim(),
      ].join('\n')
    }),
  )
  return `${[...new Set(texts)].sort().join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}

/** The text that a package ships; empty when it names its licence in package.json only. */
async function readLicense(folder: string): Promise<string> {
  const [name] = (await readdir(folder)).filter((file) => /^licen[cs]e/i.test(file)).sort()
  return name === undefined ? '' : readFile(path.join(folder, name), 'utf8')
}
