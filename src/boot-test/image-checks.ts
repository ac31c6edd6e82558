import { formatBytes } from '../report/table.ts'
import { type Digest, fileDigest, rawDigest } from '../store/digest.ts'
import type { Clone } from '../vm/clone.ts'
import { type AllowedLine, type ConsoleFailure, consoleFailures } from '../vm/console-failures.ts'
import { readBootTimes } from './boot-times.ts'
import { type CheckPlan, expect, type Recorder } from './checks.ts'
import type { TestRun } from './contract.ts'
import { compareFirewall } from './firewall.ts'
import { readStatus } from './first-boot.ts'
import type { ImageUnderTest } from './image-under-test.ts'
import { DISK_BYTES, type TestBed } from './test-bed.ts'

/** What every image has to fulfil, whatever its role. */
export const imageChecks = [
  { name: 'boots', group: 'image', title: 'boots to its first-boot marker' },
  { name: 'agent', group: 'image', title: 'the guest agent answers' },
  { name: 'status', group: 'image', title: 'says which image it is, and that it is ready' },
  { name: 'verity', group: 'image', title: '/usr is the manifest’s, protected by dm-verity' },
  { name: 'read-only', group: 'image', title: '/usr cannot be written or remounted' },
  { name: 'units', group: 'image', title: 'no unit has failed or was restarted' },
  { name: 'journal', group: 'image', title: 'no failure in the journal' },
  { name: 'firewall', group: 'image', title: 'the kernel’s firewall is the platform file’s' },
  { name: 'root-grew', group: 'image', title: 'the root file system fills the disk' },
  { name: 'hygiene', group: 'image', title: 'no password, no foreign ssh key, a machine id of its own' },
  { name: 'tampering', group: 'image', title: 'a changed block of /usr is an I/O error' },
  { name: 'console', group: 'image', title: 'no failure on any console' },
  { name: 'qcow2-digest', group: 'artifact', title: 'the qcow2 file is the manifest’s, after all of this' },
  { name: 'raw-digest', group: 'artifact', title: 'the disk inside it is the manifest’s' },
] as const satisfies readonly CheckPlan[]
export type ImageCheck = (typeof imageChecks)[number]['name']

/**
 * Checks on a ready clone what holds for every image, and records the times of its boot.
 * @param firewall the rules that the platform file gives its role
 */
export async function checkImage(
  checks: Recorder<ImageCheck>,
  bed: TestBed & TestRun,
  clone: Clone,
  firewall: string,
): Promise<void> {
  const { agent } = clone
  const { manifest, name } = bed.image
  await checks.run('status', async () => {
    const status = await readStatus(agent)
    expect(status.state === 'ready', `the status is ${status.state}: ${status.reason}`)
    expect(status.image === name, `the status names ${status.image}; the file says ${name}`)
    const version = manifest?.version ?? status.version
    expect(status.version === version, `the status names ${status.version}; the manifest says ${version}`)
    return `${status.image} ${status.version}, role ${status.role}`
  })
  await checks.run('verity', () => checkVerity(clone, manifest?.usr.roothash))
  await checks.run('read-only', async () => {
    for (const attempt of ['touch /usr/.seeder-test', 'mount -o remount,rw /usr']) {
      const result = await agent.exec(['/bin/bash', '-c', attempt])
      expect(result.exitCode !== 0, `\`${attempt}\` succeeded`)
    }
    return 'a write and a remount were refused'
  })
  await checks.run('units', async () => {
    const state = (await agent.exec(['/bin/systemctl', 'is-system-running', '--wait'])).stdout.trim()
    const failed = (await agent.shell('systemctl list-units --failed --plain --no-legend')).trim()
    expect(failed === '', failed.split('\n').join('; '))
    expect(state === 'running', `the system is ${state}`)
    // A service that systemd restarts each time it dies is never "failed".
    const restarted = await agent.shell(
      'systemctl show --property=Id,NRestarts \'*.service\' | awk -F= \'$1 == "Id" { id = $2 } $1 == "NRestarts" && $2 > 0 { print id, $2 }\'',
    )
    expect(
      restarted.trim() === '',
      `restarted by systemd (number of times): ${restarted.trim().split('\n').join(', ')}`,
    )
    return state
  })
  await checks.run('journal', async () => {
    // A quiet console does not show every message of the kernel and systemd.
    const lines = (await agent.shell('journalctl --boot --no-pager --output=short-monotonic'))
      .trim()
      .split('\n')
    const failures = consoleFailures(lines.map((text) => ({ ms: 0, text })))
    expect(failures.length === 0, failures.map(({ kind, text }) => `${kind}: ${text}`).join('; '))
    return `${lines.length} lines`
  })
  await checks.run('firewall', async () => {
    const count = await compareFirewall(agent, firewall)
    return `${count} rules, sets and chains are equal`
  })
  await checks.run('root-grew', async () => {
    const bytes = Number((await agent.shell('findmnt --noheadings --bytes --output SIZE /')).trim())
    const maximum = DISK_BYTES - (manifest?.raw.size ?? 0)
    // ext4 needs a few per cent for its own tables; a file system that did not grow is far below 90 %.
    expect(bytes > maximum * 0.9, `/ has ${formatBytes(bytes)} of a disk of ${formatBytes(DISK_BYTES)}`)
    return `${formatBytes(bytes)} of a disk of ${formatBytes(DISK_BYTES)}`
  })
  await checks.run('hygiene', () => checkHygiene(clone, bed.sshKey.publicKey))
  Object.assign(checks.observed.boot, await readBootTimes(agent))
}

async function checkVerity({ agent }: Clone, roothash: string | undefined): Promise<string> {
  const facts = await agent.shell(`
    device=/sys/dev/block/$(mountpoint -d /usr)
    echo "$(cat "$device/dm/uuid")"
    echo "$(cat "$device/ro")"
    echo "$(findmnt --noheadings --output FSTYPE /usr)"
    dmsetup table "$(cat "$device/dm/name")"
  `)
  const [uuid = '', readOnly, fileSystem, table = ''] = facts.trim().split('\n')
  expect(uuid.startsWith('CRYPT-VERITY-'), `/usr is on a device with the mapping ${uuid || 'none'}`)
  expect(readOnly === '1', 'the device under /usr is writable')
  const booted = verityRootHash(table)
  expect(booted !== undefined, `the kernel maps /usr as "${table}", which is not dm-verity`)
  if (roothash === undefined) return `${fileSystem}, root hash ${booted}; no manifest to compare with`
  expect(booted === roothash, `the kernel checks against ${booted}; the manifest says ${roothash}`)
  return `${fileSystem}, the kernel checks against root hash ${booted.slice(0, 16)}…`
}

/** The root hash in a line of `dmsetup table` for a verity target (kernel documentation, dm-verity). */
export function verityRootHash(table: string): string | undefined {
  return / verity 1 \S+ \S+ \d+ \d+ \d+ \d+ sha256 ([0-9a-f]{64}) /.exec(table)?.[1]
}

async function checkHygiene({ agent }: Clone, sshKey: string): Promise<string> {
  const passwords = await agent.shell(`awk -F: '$2 !~ /^[!*]/ { print $1 }' /etc/shadow`)
  expect(
    passwords.trim() === '',
    `accounts with a password or an empty one: ${passwords.trim().split('\n').join(', ')}`,
  )
  const keys = await agent.shell(
    `cat /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys 2>/dev/null | grep -v '^ *\\(#\\|$\\)' || true`,
  )
  const foreign = keys.split('\n').filter((line) => line.trim() !== '' && !line.includes(sshKey))
  expect(foreign.length === 0, `ssh keys that it was not given: ${foreign.join('; ')}`)
  const id = (await agent.shell('cat /etc/machine-id')).trim()
  expect(/^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id), `the machine id is "${id}"`)
  return 'no password, only the ssh key it was given'
}

// Changes the last data block of /usr. Of the mapping's two partitions the small one has the hash tree.
const TAMPER_SCRIPT = `
verity=$(basename "$(readlink -f "/sys/dev/block/$(mountpoint -d /usr)")")
data=$(for part in /sys/block/$verity/slaves/*; do echo "$(cat "$part/size") \${part##*/}"; done | sort -n | tail -n 1 | cut -d' ' -f2)
block=$(( $(cat "/sys/block/$verity/size") / 8 - 1 ))
dd if="/dev/$verity" of=/dev/null bs=4096 skip="$block" count=1 iflag=direct status=none
head -c 4096 /dev/urandom | dd of="/dev/$data" bs=4096 seek="$block" count=1 iflag=fullblock oflag=direct conv=notrunc status=none
if dd if="/dev/$verity" of=/dev/null bs=4096 skip="$block" count=1 iflag=direct status=none 2>/run/tampering; then echo read; else cat /run/tampering; fi
`

/** What the console of such a clone may show. */
export const tamperedLine: AllowedLine = {
  pattern: /device-mapper: verity|I\/O error,? (?:on )?dev dm-|erofs: \(device dm-/,
  reason: 'a block of /usr is changed on purpose',
}

/** Changes a block of `/usr` on a clone that is no longer needed, and reads it. */
export async function checkTampering(checks: Recorder<ImageCheck>, clone: Clone): Promise<void> {
  await checks.run('tampering', async () => {
    const result = (await clone.agent.shell(TAMPER_SCRIPT)).trim()
    expect(result !== 'read', 'the changed block was read without an error')
    expect(result.includes('Input/output error'), `reading the changed block failed with: ${result}`)
    return 'reading it back: Input/output error'
  })
}

/** Passes when no console showed a failure. */
export async function checkConsoles(
  checks: Recorder<'console'>,
  consoles: readonly {
    readonly name: string
    readonly failures: readonly ConsoleFailure[]
    readonly lines: number
  }[],
): Promise<void> {
  await checks.run('console', async () => {
    const all = consoles.flatMap(({ name, failures }) =>
      failures.map(({ kind, ms, text }) => `${name} at ${(ms / 1000).toFixed(1)} s: ${kind}: ${text}`),
    )
    expect(
      all.length === 0,
      all.slice(0, 5).join('; ') + (all.length > 5 ? `; and ${all.length - 5} more` : ''),
    )
    return `${consoles.length} boots, ${consoles.reduce((sum, { lines }) => sum + lines, 0)} lines`
  })
}

/** Compares the image with its manifest. Returns the digest of the disk inside it, if that could be read. */
export async function checkArtifact(
  checks: Recorder<ImageCheck>,
  { manifest, qcow2 }: ImageUnderTest,
  scratch: string,
): Promise<string | null> {
  const compare = async (
    name: 'qcow2-digest' | 'raw-digest',
    wanted: Digest | undefined,
    read: () => Promise<Digest>,
  ) => {
    if (!wanted) return checks.skip(name, `no manifest to compare with; it is ${(await read()).sha256}`)
    await checks.run(name, async () => {
      const { size, sha256 } = await read()
      expect(size === wanted.size, `it has ${size} bytes; the manifest says ${wanted.size}`)
      expect(sha256 === wanted.sha256, `it is ${sha256}; the manifest says ${wanted.sha256}`)
      return `${sha256.slice(0, 16)}…, ${formatBytes(size)}`
    })
  }
  let rawSha256: string | null = null
  await compare('qcow2-digest', manifest?.qcow2, () => fileDigest(qcow2))
  await compare('raw-digest', manifest?.raw, async () => {
    const found = await rawDigest(qcow2, scratch)
    rawSha256 = found.sha256
    return found
  })
  return rawSha256
}
