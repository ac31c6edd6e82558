import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { type Manifest, manifestSchema } from '../../src/build/manifest.ts'
import { checkout, seeder } from './seeder.ts'

/** The cache of the user who runs the tests, whose package store all test builds use. */
export const usersCache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')

/** A folder for one test file, with blanks in its path. */
export async function testFolder(name: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `seeder ${name} `))
}

/** Removes a test folder, in which builds may have left files of subordinate ids. */
export async function removeFolder(folder: string): Promise<void> {
  const rmArgv = ['rm', '-rf', '--', folder]
  await execa('unshare', ['--user', '--map-root-user', '--map-auto', '--', ...rmArgv], { reject: false })
  await rm(folder, { recursive: true, force: true })
}

/** Copies the files of this checkout that a build reads, so that a test can edit them. */
export async function copyProject(target: string): Promise<string> {
  await mkdir(target, { recursive: true })
  await cp(join(checkout, 'platform.yaml'), join(target, 'platform.yaml'))
  await cp(join(checkout, 'images'), join(target, 'images'), { recursive: true })
  return target
}

/** Builds haproxy with the user's cache, so that its package store has every locked package. */
export async function warmUp(out: string): Promise<Manifest> {
  const { code, stderr } = await seeder(['build', 'haproxy', '--out', out])
  if (code !== 0) throw new Error(`the first build failed: ${stderr}`)
  return readManifest(out)
}

/** Makes a cache folder (XDG_CACHE_HOME) with the packages of the user's store and, on request, its layers. */
export async function copyCache(target: string, layers = false): Promise<string> {
  await mkdir(join(target, 'seeder'), { recursive: true })
  for (const part of layers ? ['store', 'layers'] : ['store']) {
    // Hard links where possible: files of a store and of a layer never change.
    const from = join(usersCache, 'seeder', part)
    const linked = await execa('cp', ['-al', from, join(target, 'seeder')], { reject: false })
    if (linked.exitCode !== 0) await execa('cp', ['-a', from, join(target, 'seeder')])
  }
  return target
}

/** The manifest of a finished build. */
export async function readManifest(out: string): Promise<Manifest> {
  const text = await readFile(join(out, 'template.conf'), 'utf8')
  const [image, version] = ['IMAGE', 'VERSION'].map((key) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1])
  return manifestSchema.parse(
    JSON.parse(await readFile(join(out, `${image}-${version}.manifest.json`), 'utf8')),
  )
}
