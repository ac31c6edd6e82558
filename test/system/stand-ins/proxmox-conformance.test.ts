import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HostResult, PveHost } from '../../stand-ins/proxmox/host.ts'
import { normalise, parseTranscript, type Recorded, wordsOf } from '../../stand-ins/proxmox/transcript.ts'

const mebibyte = 1024 ** 2
const recordings = join(import.meta.dirname, '../../stand-ins/proxmox/recordings')

/** Recorded commands that are not replayed, each with the reason. */
const notReplayed: Readonly<Record<string, string>> = {
  'qm help create': 'a page of help, which nobody’s script reads',
  'qm showcmd 9012': 'the stand-in’s QEMU is started in its own way',
  'qm showcmd 9019': 'the stand-in’s QEMU is started in its own way',
  'pvesh ls /nodes/pve1': 'the stand-in has only some of the resources',
  'pvesh get /nodes/pve1/status --output-format json': 'it describes the recorded machine',
  'qm start 9000': 'it failed there for want of a message bus',
  'pvesh get /nodes/pve1/tasks --limit 2 --output-format json': 'the latest task there is that start',
  'pvesm extractconfig x': 'the stand-in does not have it',
  'pvesm import': 'the stand-in does not have it',
  'qm status 4711': 'it shows what Perl says about a locale',
  'qm destroy 9028': 'it shows warnings of Perl’s about a storage with snapshots in volume chains',
}

/** What the recording’s script did before a command without showing it, by the command; `#2` is its second time. */
type Hidden = Readonly<Record<string, (host: PveHost) => Promise<void>>>

interface Scene {
  readonly files: readonly string[]
  readonly before?: Hidden
  /** What happened while a command ran. */
  readonly during?: Hidden
}

let folder: string
let images: string
/** Bytes of the compressed image here and in the recordings. */
let imported: number
const recordedImport = 30328320
let background: Promise<HostResult> | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pve-conformance-'))
  images = join(folder, 'images')
  await makeImages()
})

afterAll(async () => {
  await rm(folder, { recursive: true })
})

async function makeImages(): Promise<void> {
  const image = (name: string) => join(images, name)
  await mkdir(images)
  // It can be compressed, so that a file that is cut short cannot be read for zeros.
  await writeFile(image('x.raw'), randomBytes(10 * mebibyte).toString('hex'))
  await truncate(image('x.raw'), 64 * mebibyte)
  const compressed = ['convert', '-c', '-f', 'raw', '-O', 'qcow2', image('x.raw')]
  await execa('qemu-img', [...compressed, image('x.qcow2')])
  await execa('qemu-img', [...compressed, '-o', 'compression_type=zstd', image('xz.qcow2')])
  await execa('qemu-img', ['create', '-f', 'qcow2', '-b', image('x.raw'), '-F', 'raw', image('over.qcow2')])
  await writeFile(image('junk.qcow2'), Buffer.alloc(5120, 'not a disk image'))
  await copyFile(image('x.qcow2'), image('trunc.qcow2'))
  await truncate(image('trunc.qcow2'), (await stat(image('x.qcow2'))).size - 60_000)
  await copyFile(image('x.qcow2'), image('noext'))
  await copyFile(image('x.qcow2'), image('x.img'))
  await writeFile(image('big.raw'), '')
  await truncate(image('big.raw'), 3072 * mebibyte)
  const key = 'AAAAC3NzaC1lZDI1NTE5AAAAIHgvbudKL1JQVCMDxd06dP60lDWgtOFXEETfQAXoH8Um'
  await writeFile(image('key.pub'), `ssh-ed25519 ${key} me@host\n`)
  imported = (await stat(image('x.qcow2'))).size
}

/** A host like the recorded one. */
async function makeHost(name: string): Promise<PveHost> {
  const host = await PveHost.create(join(folder, name), {
    storages: [
      {
        name: 'local',
        type: 'dir',
        properties: { path: '/var/lib/vz', content: 'import,iso,backup,rootdir,snippets,images,vztmpl' },
      },
    ],
    bridges: [
      { name: 'vmbr0', addresses: ['10.99.0.1/24'] },
      { name: 'vmbr12', addresses: [] },
    ],
  })
  const local = host.path('/var/lib/vz')
  await mkdir(join(local, 'import'))
  await mkdir(join(local, 'snippets'))
  await copyFile(join(images, 'x.qcow2'), join(local, 'import/imp.qcow2'))
  await writeFile(join(local, 'snippets/user.yaml'), '#cloud-config\nhostname: snip\n')
  await host.start()
  return host
}

/** The words of a recorded command, with the disks where they are on this machine. */
function wordsHere(command: string): string[] {
  return wordsOf(command.replaceAll(/(?<!\w)\/images\//g, `${images}/`))
}

/** Runs a command that the recording does not show. */
async function quietly(host: PveHost, command: string): Promise<void> {
  const result = await host.run(wordsHere(command))
  expect(result, command).toMatchObject({ code: 0 })
}

/** The VM that the recordings begin with. */
async function makeFirst(host: PveHost): Promise<void> {
  const options = [
    '--name t --memory 1024 --cores 2 --cpu x86-64-v2-AES --machine q35 --bios ovmf --ostype l26 --vga serial0',
    '--agent enabled=1,fstrim_cloned_disks=1 --net0 virtio,bridge=vmbr12,firewall=1 --serial0 socket',
    '--scsihw virtio-scsi-single --boot order=scsi0 --ide2 local:cloudinit --tags seeder;etcd',
    '--efidisk0 local:0,efitype=4m,pre-enrolled-keys=0',
    '--scsi0 local:0,import-from=/images/x.qcow2,discard=on,ssd=1',
    '--description line one\nline two: é 50% #x',
  ]
  await quietly(host, `qm create 9000 ${options.join(' ')}`)
}

const disk = (vmid: number, name: string) => `/var/lib/vz/images/${vmid}/${name}`
const bigImport = 'local:0,import-from=/images/big.raw,format=qcow2'

/** Starts an import and stops it half way. */
async function beginImport(host: PveHost, vmid: number, name: string): Promise<void> {
  await host.faults.set({ kind: 'pause', when: 'middle', at: 1 })
  const command = `qm create ${vmid} --name ${name} --scsi0 ${bigImport}`
  background = host.run(wordsHere(command))
  await host.faults.paused()
}

async function endBackground(host: PveHost): Promise<void> {
  await host.faults.release()
  await background
  await host.faults.clear()
}

const scenes: readonly Scene[] = [
  {
    files: [
      '01-list-config-options',
      '02-import-template-clone-destroy',
      '03-pvesh-pvesm',
      '04-create-import-refusals',
      '05-failed-template-efi-locks',
      '06-cloudinit-snippets-clones',
    ],
    before: {
      'qm list': makeFirst,
      'qm template 9200': (host) =>
        quietly(host, `mv ${disk(9200, 'vm-9200-disk-0.qcow2')} /var/lib/vz/aside.qcow2`),
      'qm destroy 9200': (host) =>
        quietly(host, `mv /var/lib/vz/aside.qcow2 ${disk(9200, 'vm-9200-disk-0.qcow2')}`),
      'qm config 9202': (host) => quietly(host, 'qm create 9202 --name p1 --scsi0 local:0.0625'),
      'qm set 9203 --memory 700': async (host) => {
        host.spawn(['flock', '/var/lock/qemu-server/lock-9203.conf', 'sleep', '11'])
        await sleep(200)
      },
      'qm destroy 9203': async () => sleep(2000),
      'pvesm list local --vmid 9204': async (host) => {
        await quietly(host, 'mkdir -p /var/lib/vz/images/9204')
        await quietly(host, `cp /images/x.raw ${disk(9204, 'vm-9204-disk-7.raw')}`)
      },
      'qm status 9023': async (host) => {
        await beginImport(host, 9023, 'k')
        const signalled = await host.run(['pkill', '-TERM', '-f', 'main.ts /usr/sbin/qm'])
        expect(signalled.code).toBe(0)
        expect((await background)?.code).toBe(255)
        await host.faults.clear()
      },
      'qm config 9024': async (host) => {
        await beginImport(host, 9024, 'k')
        expect((await host.run(['pkill', '-KILL', '-f', 'main.ts /usr/sbin/qm'])).code).toBe(0)
        await host.faults.release()
        await expect
          .poll(async () => (await host.configs()).get(9024), { timeout: 10_000 })
          .toContain('scsi0')
        await host.faults.clear()
      },
      // Its output is not compared.
      'qm destroy 9027': (host) => quietly(host, 'qm destroy 9028'),
      'qm config 9025': (host) => quietly(host, `qm create 9025 --name k --scsi0 ${bigImport}`),
    },
  },
  {
    files: ['07-create-in-progress'],
    before: {
      'qm destroy 9030': async (host) => {
        await makeFirst(host)
        await quietly(host, 'qm set 9000 --memory 2048')
        await quietly(host, 'qm create 9030')
      },
      'qm config 9031': (host) => beginImport(host, 9031, 'mid'),
      'qm template 9031': endBackground,
      'qm config 9032': async (host) => {
        await host.faults.set({ kind: 'pause', when: 'middle', at: 1 })
        background = host.run(['qm', 'clone', '9031', '9032', '--full'])
        await host.faults.paused()
      },
    },
    during: {
      'qm destroy 9032': async (host) => {
        await sleep(1500)
        await endBackground(host)
      },
    },
  },
  {
    files: ['08-after-hard-kill'],
    before: {
      'qm config 9040': async (host) => {
        await makeFirst(host)
        await quietly(host, 'qm set 9000 --memory 2048')
        await quietly(host, 'qm create 9030 --scsi0 local:0,import-from=/images/x.raw')
        await quietly(host, `qm create 9040 --name k --scsi0 ${bigImport}`)
      },
      'qm config 9041': async (host) => {
        await host.faults.set({ kind: 'power-cut', when: 'middle', at: 1 })
        await host.run(wordsHere(`qm create 9041 --scsi0 ${bigImport}`))
        await host.waitForPowerCut()
        await host.start()
        await host.faults.clear()
      },
    },
  },
  { files: ['09-bad-options'] },
  { files: ['10-descriptions-and-compare'] },
]

test('every recorded command is replayed or left out by name', async () => {
  const names = scenes.flatMap(({ files }) => files)
  const all = (await readdir(recordings)).filter((name) => name.endsWith('.txt'))
  expect(names.map((name) => `${name}.txt`).sort()).toEqual(all.sort())
  const texts = await Promise.all(all.map((name) => readFile(join(recordings, name), 'utf8')))
  const commands = texts.flatMap(parseTranscript).map(({ command }) => command)
  const left = commands.filter((command) => Object.hasOwn(notReplayed, command))
  expect([...new Set(left)].sort()).toEqual(Object.keys(notReplayed).sort())
  console.log(`${commands.length - left.length} of ${commands.length} recorded commands are compared`)
})

test.each(scenes)('the stand-in answers as Proxmox VE did: $files', { timeout: 600_000 }, async (scene) => {
  const host = await makeHost(scene.files[0]?.slice(0, 2) ?? '')
  const seen = new Map<string, number>()
  const different: string[] = []
  let compared = 0
  let total = 0
  for (const file of scene.files) {
    for (const recorded of parseTranscript(await readFile(join(recordings, `${file}.txt`), 'utf8'))) {
      const { command } = recorded
      total++
      const time = (seen.get(command) ?? 0) + 1
      seen.set(command, time)
      const key = time === 1 ? command : `${command}#${time}`
      await scene.before?.[key]?.(host)
      if (Object.hasOwn(notReplayed, command)) continue
      const meanwhile = scene.during?.[key]?.(host)
      const result = await host.run(argvOf(command), { timeoutMs: 60_000 })
      await meanwhile
      compared++
      different.push(...differences(recorded, result))
    }
  }
  await host.remove()
  console.log(`${compared} of ${total} recorded commands compared`)
  expect(different).toEqual([])
})

/** A recorded command for this machine. Some words are an argument of their own, which the quotes do not show. */
function argvOf(command: string): string[] {
  const words = wordsHere(command)
  return command.endsWith('--memory 1024 extra') ? [...words.slice(0, -1), '1024', 'extra'] : words
}

/** Nobody but root of the machine can forbid changes to a file. */
function withoutRoot(text: string): string {
  return process.getuid?.() === 0 ? text : text.replaceAll(/^immutable /gm, 'mutable ')
}

function differences(recorded: Recorded, result: HostResult): string[] {
  const asRecorded = (text: string) =>
    normalise(text.replaceAll(`${images}/`, '/images/').replaceAll(String(imported), String(recordedImport)))
  const found = []
  if (result.code !== recorded.code) found.push(`status ${result.code} instead of ${recorded.code}`)
  for (const stream of ['stdout', 'stderr'] as const) {
    const [is, was] = [asRecorded(result[stream]), withoutRoot(normalise(recorded[stream]))]
    if (is !== was) found.push(`${stream}:\n${is}instead of:\n${was}`)
  }
  return found.map((one) => `$ ${recorded.command}\n${one}`)
}
