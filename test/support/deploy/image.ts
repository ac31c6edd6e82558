import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { type Manifest, templateConf } from '../../../src/build/manifest.ts'
import { loadPlatform } from '../../../src/platform/load.ts'
import type { Platform } from '../../../src/platform/schema.ts'
import { checkout } from '../seeder.ts'

/** An image in the form that a build leaves, with a disk of few MiB that nothing boots from. */
export interface SmallImage {
  readonly folder: string
  readonly manifest: Manifest
}

const mebibyte = 1 << 20
const ownPlatform = await loadPlatform(join(checkout, 'platform.yaml'))

/** Writes an image to `folder`: half of its disk of `sizeMiB` is random, the rest a hole. */
export async function makeSmallImage(
  folder: string,
  options: {
    image?: string
    version?: string
    roles?: string[]
    sizeMiB?: number
    platform?: Platform
  } = {},
): Promise<SmallImage> {
  const { image = 'haproxy', version = '3.0.11-1', roles = ['haproxy'], sizeMiB = 8 } = options
  const { platform = ownPlatform } = options
  await mkdir(folder, { recursive: true })
  const disk = Buffer.alloc(sizeMiB * mebibyte)
  randomBytes((sizeMiB / 2) * mebibyte).copy(disk, mebibyte)
  const raw = join(folder, 'disk.raw')
  const file = `${image}-${version}.qcow2`
  await writeFile(raw, disk)
  await execa('qemu-img', [
    'convert',
    '-q',
    '-f',
    'raw',
    '-O',
    'qcow2',
    '-c',
    '-o',
    'compression_type=zstd',
    raw,
    join(folder, file),
  ])
  await execa('rm', [raw])
  const packed = await readFile(join(folder, file))
  const manifest: Manifest = {
    schema: 1,
    image,
    version,
    description: 'a disk for a test',
    roles,
    base: 'debian-trixie',
    epoch: 1_790_000_000,
    raw: { sha256: sha256(disk), size: disk.length },
    usr: { roothash: sha256('usr'), size: mebibyte },
    qcow2: { file, sha256: sha256(packed), size: packed.length },
    kernel: { version: '6.12', commandLine: '' },
    uki: { sha256: sha256('uki') },
    files: { total: 2, unowned: [] },
    ports: {},
    lock: { sha256: sha256('lock') },
    source: { commit: 'c0ffee'.padEnd(40, '0'), dirty: false },
    packages: {},
    artifacts: {},
    containers: {},
    tools: {},
    timings: {},
    made: ['tools', 'rootfs', 'initrd', 'usr'],
  }
  await writeFile(join(folder, `${image}-${version}.manifest.json`), `${JSON.stringify(manifest, null, 2)}\n`)
  await writeFile(join(folder, 'template.conf'), templateConf(manifest, platform))
  await writeSums(folder, manifest)
  return { folder, manifest }
}

/** Writes SHA256SUMS for what is in the folder now. */
export async function writeSums(folder: string, { image, version }: Manifest): Promise<void> {
  const names = [`${image}-${version}.manifest.json`, `${image}-${version}.qcow2`, 'template.conf']
  const lines = await Promise.all(
    names.map(async (name) => `${sha256(await readFile(join(folder, name)))}  ${name}\n`),
  )
  await writeFile(join(folder, 'SHA256SUMS'), lines.join(''))
}

/** A key that signs images. */
export interface Signer {
  readonly name: string
  readonly key: string
  /** Its line in a file of allowed signers. */
  readonly allowed: string
}

/** Makes a signing key in `folder`. */
export async function makeSigner(folder: string, name = 'release@example.internal'): Promise<Signer> {
  const key = join(folder, name)
  await mkdir(folder, { recursive: true })
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', key])
  const publicKey = (await readFile(`${key}.pub`, 'utf8')).trim()
  return { name, key, allowed: `${name} namespaces="seeder" ${publicKey}\n` }
}

/** Signs an image as the documentation says. */
export async function sign(folder: string, signer: Signer, namespace = 'seeder'): Promise<void> {
  const sums = join(folder, 'SHA256SUMS')
  await execa('rm', ['-f', `${sums}.sig`])
  await execa('ssh-keygen', ['-q', '-Y', 'sign', '-f', signer.key, '-n', namespace, sums])
}

/** Of some bytes, in hex. */
export function sha256(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex')
}
