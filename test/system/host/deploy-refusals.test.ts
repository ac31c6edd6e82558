import { chmod, cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { deploy, inventory } from '../../support/deploy/host.ts'
import {
  makeSigner,
  makeSmallImage,
  type Signer,
  type SmallImage,
  sign,
  writeSums,
} from '../../support/deploy/image.ts'

/** What deploy.sh does not take: each refusal names what it found, and the host stays as it was. */
const root = await testFolder('deploy refusals')
let host: PveHost
let image: SmallImage
let signer: Signer
let unknownSigner: Signer
let untouched: string

beforeAll(async () => {
  // Somebody else who calls sudo reads the image, too.
  await chmod(root, 0o755)
  image = await makeSmallImage(join(root, 'image'))
  signer = await makeSigner(join(root, 'keys'))
  unknownSigner = await makeSigner(join(root, 'keys'), 'unknown@example.internal')
  await sign(image.folder, signer)
  host = await PveHost.create(join(root, 'host'))
  await host.start()
  await host.run(['mkdir', '-p', '/etc/seeder'])
  await host.run(['tee', '/etc/seeder/allowed_signers'], { input: signer.allowed })
  await deploy(host, ['--recover'])
  untouched = await inventory(host)
})
afterAll(async () => {
  await host.remove()
  await rm(root, { recursive: true, force: true })
})

let copies = 0
const qcow2 = 'haproxy-3.0.11-1.qcow2'
const manifest = 'haproxy-3.0.11-1.manifest.json'

/** A copy of the signed image, changed. */
async function changed(change: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = join(root, `copy-${copies++}`)
  await cp(image.folder, folder, { recursive: true })
  await change(folder)
  return folder
}

/** Changes an image in a way that only its author could: sums and signature are right again. */
function signAgain(change: (folder: string) => Promise<unknown>): Promise<string> {
  return changed(async (folder) => {
    await change(folder)
    await writeSums(folder, image.manifest)
    await sign(folder, signer)
  })
}

async function flip(file: string, offset: number): Promise<void> {
  const bytes = await readFile(file)
  bytes[offset] = (bytes[offset] ?? 0) ^ 1
  await writeFile(file, bytes)
}

async function replaceIn(file: string, from: string | RegExp, to: string): Promise<void> {
  const text = await readFile(file, 'utf8')
  const next = text.replace(from, to)
  if (next === text) throw new Error(`${file} has no ${from}`)
  await writeFile(file, next)
}

async function refused(argv: readonly string[], words: string | RegExp, code = 1): Promise<void> {
  const result = await deploy(host, ['--storage', 'local', '--no-smoke', ...argv])
  expect(result.stderr).toMatch(words)
  expect(result.stderr).toContain('→')
  expect(result.code).toBe(code)
  expect(await inventory(host)).toBe(untouched)
}

test.each<[string, (folder: string) => Promise<unknown>, string]>([
  [
    'a flipped bit in the disk',
    (at) => flip(join(at, qcow2), 70_000),
    `${qcow2} is not what SHA256SUMS says`,
  ],
  [
    'a flipped bit in the manifest',
    (at) => flip(join(at, manifest), 40),
    `${manifest} is not what SHA256SUMS says`,
  ],
  [
    'a flipped bit in template.conf',
    (at) => flip(join(at, 'template.conf'), 9),
    'template.conf is not what SHA256SUMS',
  ],
  [
    'a flipped bit in SHA256SUMS',
    (at) => flip(join(at, 'SHA256SUMS'), 3),
    'the signature of .*SHA256SUMS by release@example.internal is wrong',
  ],
  [
    'a flipped bit in the signature',
    (at) => flip(join(at, 'SHA256SUMS.sig'), 120),
    'is signed by nobody in|is wrong',
  ],
  [
    'somebody else’s signature',
    (at) => sign(at, unknownSigner),
    'is signed by nobody in /etc/seeder/allowed_signers',
  ],
  ['a signature for something else', (at) => sign(at, signer, 'file'), 'the signature of .* is wrong'],
  ['no signature', (at) => rm(join(at, 'SHA256SUMS.sig')), 'is not signed'],
  [
    'a disk that is cut short',
    (at) => execa('truncate', ['-s', '100000', join(at, qcow2)]),
    'is not what SHA256SUMS says',
  ],
  ['no disk', (at) => rm(join(at, qcow2)), `names ${qcow2}; it is not there`],
  [
    'a link in place of the disk',
    (at) => execa('ln', ['-sf', '/etc/shadow', join(at, qcow2)]),
    'has to be a plain file',
  ],
  [
    'a pipe in place of the sums',
    async (at) => {
      await rm(join(at, 'SHA256SUMS'))
      await execa('mkfifo', [join(at, 'SHA256SUMS')])
    },
    'has to be a plain file|is wrong',
  ],
  ['nothing', (at) => rm(join(at, 'template.conf')), 'it has no SHA256SUMS and template.conf'],
])('%s', async (_, change, words) => {
  await refused([await changed(change)], new RegExp(words))
})

test.each<[string, (folder: string) => Promise<unknown>, string]>([
  [
    'a disk that reads another image',
    (at) =>
      execa('qemu-img', [
        'create',
        '-q',
        '-f',
        'qcow2',
        '-F',
        'raw',
        '-b',
        '/etc/passwd',
        join(at, qcow2),
        '8M',
      ]),
    'wants another image as its backing file',
  ],
  [
    'a disk with its data in another file',
    (at) =>
      execa('qemu-img', [
        'create',
        '-q',
        '-f',
        'qcow2',
        '-o',
        `data_file=${join(at, 'data')}`,
        join(at, qcow2),
        '8M',
      ]),
    'keeps its data in another file',
  ],
  [
    'a disk of another size',
    (at) => execa('qemu-img', ['create', '-q', '-f', 'qcow2', join(at, qcow2), '9M']),
    'is a disk of 9437184 bytes; template.conf says 8388608',
  ],
  ['a disk that is none', (at) => writeFile(join(at, qcow2), 'QFI not'), 'is no qcow2 image'],
  [
    'a disk whose tables are broken',
    async (at) => {
      const bytes = await readFile(join(at, qcow2))
      // The first entry of the first-level table points past the end of the file.
      bytes.writeBigUInt64BE(0x8000_0000_4000_0000n, Number(bytes.readBigUInt64BE(40)))
      await writeFile(join(at, qcow2), bytes)
    },
    'qemu-img check found .* damaged',
  ],
  [
    'a bridge with an option in it',
    (at) => replaceIn(join(at, 'template.conf'), /^BRIDGES=.*$/m, 'BRIDGES=vmbr0 link_down=1'),
    "BRIDGES is 'vmbr0 link_down=1'",
  ],
  [
    'a card with an option that is none of a zone’s',
    (at) =>
      replaceIn(join(at, 'template.conf'), /^BRIDGES=.*$/m, 'BRIDGES=vmbr0/tag=20,vmbr1/tag=30/trunks=2'),
    "BRIDGES is 'vmbr0/tag=20,vmbr1/tag=30/trunks=2'",
  ],
  [
    'a version with a command in it',
    (at) => replaceIn(join(at, 'template.conf'), /^VERSION=.*$/m, 'VERSION=1$(touch /tmp/x)-1'),
    'VERSION is ',
  ],
  ['a value that is missing', (at) => replaceIn(join(at, 'template.conf'), /^CPU=.*\n/m, ''), 'has no CPU'],
  ['a line that is none', (at) => replaceIn(join(at, 'template.conf'), /^CPU=/m, 'export CPU='), 'found '],
  [
    'files of two builds',
    (at) => replaceIn(join(at, manifest), image.manifest.raw.sha256, 'f'.repeat(64)),
    'template.conf has RAW_SHA256=.*; the manifest has not',
  ],
  [
    'another image’s disk',
    (at) => replaceIn(join(at, 'template.conf'), /^QCOW2=.*$/m, 'QCOW2=etcd-3.7.2-1.qcow2'),
    'is of haproxy 3.0.11-1 and names etcd',
  ],
])('%s, however it is signed', async (_, change, words) => {
  await refused([await signAgain(change)], new RegExp(words))
})

test.each<[string[], string]>([
  [[], 'no folder with an image was given'],
  [['--bogus'], 'there is no option --bogus'],
  [['--keep', '0', '.'], 'the number of templates to keep is 0'],
  [['--keep'], '--keep needs a value'],
  [['--vmid-range', '9099-9000', '.'], 'the second number has to be the larger one'],
  [['--vmid-range=a', '.'], 'the range of VM IDs is a'],
  [['--list', '--retire'], '--list and --retire do not go together'],
  [['--retire', '.'], '--retire takes no .'],
  [['--rollback'], '--rollback needs an image'],
  [['--rollback', 'x; reboot'], 'is no image'],
])('wrong use: %j', async (argv, words) => {
  const result = await deploy(host, argv)
  expect(result.stderr.replaceAll("'", '')).toContain(words.replaceAll("'", ''))
  expect(result.code).toBe(2)
  expect(await inventory(host)).toBe(untouched)
})

test('a storage that cannot hold images, is not there, or is one of several', async () => {
  const on = async (storage: string[], words: RegExp, code = 1) => {
    const result = await deploy(host, [...storage, '--no-smoke', image.folder])
    expect(result.stderr).toMatch(words)
    expect(result.code).toBe(code)
  }
  await on(['--storage', 'iso-only'], /the storage iso-only cannot hold VM disks/)
  await on(['--storage', 'nosuch'], /there is no storage nosuch/)
  await on([], /several storages can hold VM disks: local, local-lvm, local-zfs/, 2)
  expect(await inventory(host)).toBe(untouched)
})

test('policy that root has written is not loosened by an option', async () => {
  const policy = (text: string) => host.run(['tee', '/etc/seeder/deploy.conf'], { input: text })
  try {
    await policy('# ours\nSTORAGE=local\nKEEP=5\nALLOW_UNSIGNED=0\n')
    await refused(['--keep', '1', image.folder], /--keep sets KEEP=1; .*deploy.conf sets 5/, 2)
    await refused(['--allow-unsigned', image.folder], /--allow-unsigned sets ALLOW_UNSIGNED=1/, 2)
    await policy('KEEP=five\n')
    await refused([image.folder], /the number of templates to keep is 'five'/, 2)
    await policy('SHELL=/bin/sh\n')
    await refused([image.folder], /deploy.conf, line 1: found /, 2)
    await policy('KEEP=5\n')
    await host.run(['chmod', '666', '/etc/seeder/deploy.conf'])
    await refused([image.folder], /deploy.conf can be written by others than root/)
    await host.run(['chmod', '644', '/etc/seeder/deploy.conf'])
    await host.run(['chown', '1000', '/etc/seeder'])
    await refused([image.folder], /\/etc\/seeder belongs to the user id 1000/)
    await host.run(['chown', '0', '/etc/seeder'])
  } finally {
    await host.run(['rm', '-f', '/etc/seeder/deploy.conf'])
  }
})

test('through sudo no policy is taken, nor anything of the environment', async () => {
  const env = { SUDO_UID: '1000', SUDO_USER: 'runner' }
  const result = await deploy(host, ['--storage', 'local', image.folder], { env })
  expect([result.code, result.stderr]).toEqual([
    2,
    expect.stringContaining('--storage is not taken through sudo'),
  ])
  // Programs of the caller's with the names of those that are called.
  await host.run(['mkdir', '-p', '/tmp/bin'])
  for (const name of ['qm', 'pvesm', 'dd', 'openssl', 'stat']) {
    const script = '#!/bin/sh\ntouch /run/bent\n'
    await host.run(['tee', `/run/${name}`], { input: script })
    await host.run(['chmod', '755', `/run/${name}`])
  }
  const bent = { ...env, PATH: '/run:/usr/bin', BASH_ENV: '/run/qm', ENV: '/run/qm', LC_ALL: 'de_DE.UTF-8' }
  await host.run(['tee', '/etc/seeder/deploy.conf'], { input: 'STORAGE=local\nSMOKE=0\n' })
  const planned = await deploy(host, ['--dry-run', image.folder], { env: bent })
  await host.run(['rm', '-f', '/etc/seeder/deploy.conf'])
  expect([planned.code, planned.stderr]).toEqual([0, expect.stringContaining('qm create 9000')])
  expect((await host.run(['ls', '/run/bent'])).code).toBe(2)
  expect(await inventory(host)).toBe(untouched)
})

test('refuses a normal user, with a hint to run it as root', async () => {
  const script = join(import.meta.dirname, '../../../scripts/deploy.sh')
  const { stderr, exitCode } = await execa(
    'setpriv',
    [
      '--reuid=65534',
      '--clear-groups',
      '/bin/bash',
      '-c',
      'exec bash -s -- "$@" < <(cat)',
      'deploy',
      '--list',
    ],
    {
      input: await readFile(script, 'utf8'),
      reject: false,
    },
  )
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('which takes root')])
})
