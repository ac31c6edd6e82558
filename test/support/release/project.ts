import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkout } from '../seeder.ts'

/** A project folder of its own, for `--project`: whom this checkout lets sign is nothing to a test. */
export async function makeProject(folder: string): Promise<string> {
  await mkdir(join(folder, 'images'), { recursive: true })
  await copyFile(join(checkout, 'platform.yaml'), join(folder, 'platform.yaml'))
  return folder
}
