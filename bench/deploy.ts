/**
 * `npm run bench -- --deploy`: compares, on a stand-in Proxmox VE host, a bare `qm create` with an image's disk; the commands
 * of a careful person who makes a template of it, with the checks of deploy.sh; and deploy.sh. Proxmox VE's own commands take
 * most of a second each, those of the stand-in less: the number of commands is printed, so that a reader can add that.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { formatTable } from '../src/report/table.ts'
import { PveHost } from '../test/stand-ins/proxmox/host.ts'
import { deploy } from '../test/support/deploy/host.ts'

const rounds = 5

interface Turn {
  readonly seconds: number
  readonly calls: number
}

/** Measures on each storage and prints a table. `image` is a build's folder, `scratch` an empty one. */
export async function benchDeploy(image: string, qcow2: string, scratch: string): Promise<void> {
  const rows: string[][] = []
  for (const storage of ['local', 'local-lvm', 'local-zfs']) {
    const bare: Turn[] = []
    const hand: Turn[] = []
    const ours: Turn[] = []
    for (let round = 0; round < rounds; round++) {
      const host = await PveHost.create(join(scratch, `${storage}-${round}`))
      await host.start()
      try {
        bare.push(await bareImport(host, storage, qcow2))
        hand.push(await byHand(host, storage, image, qcow2))
        ours.push(await oneDeploy(host, storage, image))
      } finally {
        await host.remove()
      }
    }
    const [a, b, c] = [median(bare), median(hand), median(ours)]
    const cell = ({ seconds, calls }: Turn) => `${seconds.toFixed(2)} s, ${calls} calls`
    const ratio = (to: Turn) => (c.seconds / to.seconds).toFixed(2)
    rows.push([storage, cell(a), cell(b), cell(c), ratio(a), ratio(b)])
  }
  await rm(scratch, { recursive: true, force: true })
  const heads = [
    'storage',
    'bare qm create',
    'checked, by hand',
    'deploy.sh --no-smoke',
    'to bare',
    'to by hand',
  ]
  console.log(formatTable(heads, rows))
}

async function bareImport(host: PveHost, storage: string, qcow2: string): Promise<Turn> {
  return turn(host, async () => {
    const argv = ['qm', 'create', '8000', '--scsi0', `${storage}:0,import-from=${qcow2}`]
    const { code, stderr } = await host.run(argv)
    if (code !== 0) throw new Error(stderr)
  })
}

/** The same template and the same checks, without a lock, a journal or a way back. */
async function byHand(host: PveHost, storage: string, image: string, qcow2: string): Promise<Turn> {
  const format = storage === 'local' ? ',format=raw' : ''
  const script = [
    'cd "$1"',
    'sha256sum --quiet -c SHA256SUMS',
    '. ./template.conf',
    'qemu-img check -q "$QCOW2"',
    `qm create 8001 --name by-hand --bios ovmf --machine q35 --scsihw virtio-scsi-single --memory 1024 \\
      --efidisk0 "$2:0,efitype=4m,pre-enrolled-keys=0${format}" --scsi0 "$2:0,import-from=$3,discard=on${format}" \\
      --ide2 "$2:cloudinit" --boot order=scsi0`,
    'disk=$(pvesm path "$(qm config 8001 | sed -n "s/^scsi0: \\([^,]*\\),.*/\\1/p")")',
    'sync "$disk"',
    'dd if="$disk" bs=4M iflag=fullblock,count_bytes,direct count="$RAW_SIZE" status=none | sha256sum | grep -q "^$RAW_SHA256 "',
    'qm disk resize 8001 scsi0 8G',
    'qm template 8001',
    'qm set 8001 --tags current',
  ]
  return turn(host, async () => {
    const { code, stderr } = await host.run([
      'sh',
      '-euc',
      script.join('\n'),
      'by-hand',
      image,
      storage,
      qcow2,
    ])
    if (code !== 0) throw new Error(stderr)
  })
}

async function oneDeploy(host: PveHost, storage: string, image: string): Promise<Turn> {
  return turn(host, async () => {
    const argv = ['--storage', storage, '--no-smoke', '--allow-unsigned', image]
    const { code, stderr } = await deploy(host, argv)
    if (code !== 0) throw new Error(stderr)
  })
}

async function turn(host: PveHost, act: () => Promise<void>): Promise<Turn> {
  const before = (await host.faults.calls()).length
  const began = performance.now()
  await act()
  const seconds = (performance.now() - began) / 1000
  return { seconds, calls: (await host.faults.calls()).length - before }
}

function median(turns: readonly Turn[]): Turn {
  const sorted = turns.toSorted((a, b) => a.seconds - b.seconds)
  const middle = sorted[sorted.length >> 1]
  if (middle === undefined) throw new Error('nothing was measured')
  return middle
}
