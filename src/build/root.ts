import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { listFiles } from '../evidence/inventory.ts'
import { stableUuid } from '../image/stable-uuid.ts'
import { SeederError } from '../report/error.ts'
import { STATE_LIST, STATE_LISTS } from './evidence.ts'
import { FIND_LEFTOVERS, requireClean } from './hygiene.ts'
import { type TreeFile, writeTree } from './tree.ts'
import type { Usr } from './usr.ts'
import { type BuildRun, insideOf, queryTree, runStep } from './work.ts'

/** The root file system, `root.ext4` in the scratch folder. */
export interface Root {
  /** The SHA-256, hex, of its list of files (`STATE_LIST`). */
  readonly stateList: string
}

/** The image's program that writes the list. */
const LISTER = '/usr/lib/seeder/state-list'

/** Size of the root file system as shipped; a clone grows it to its disk. */
const ROOT_SIZE = '256M'

/** MiB. It cannot grow later, and mke2fs's default for a small file system is too small for the grown one. */
const JOURNAL_SIZE = 32

/** Removes files of package scripts that must differ between machines, or that no machine needs. */
const CLEAN = [
  'rm -f etc/ssh/ssh_host_* etc/machine-id var/lib/dbus/machine-id var/lib/systemd/random-seed var/lib/systemd/credential.secret',
  'rm -f etc/hostname etc/resolv.conf etc/.pwd.lock etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid- etc/subgid-',
  'rm -f initrd.img initrd.img.old vmlinuz vmlinuz.old',
  'rm -rf var/lib/apt/lists var/cache/apt var/cache/ldconfig var/cache/debconf/*-old var/lib/dpkg/*-old var/lib/dpkg/lock* var/lib/dpkg/triggers/Lock',
  'rm -rf var/lib/cloud var/lib/dhcpcd var/lib/NetworkManager var/lib/ucf/cache tmp var/tmp run root/.bash_history',
  'find var/log -type f -delete',
  // Empty: systemd makes a new id at first boot without a factory reset.
  ': > etc/machine-id',
  'mkdir -m 1777 tmp var/tmp && mkdir -m 755 run',
  'ln -s ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf',
  // Without them systemd would rebuild caches (hwdb, ldconfig, catalog) that /usr already has.
  ': > etc/.updated && : > var/.updated',
].join('\n')

/**
 * Makes the root file system (`root.ext4` in the scratch folder) from the files of packages and of the definition outside
 * /usr, without anything that belongs to a single machine.
 * A sorted tar is the source, so that the order of folders and access times do not matter. The file system contains the list
 * of its files that must not change; the program that writes it is the one that compares it on a clone.
 */
export async function makeRoot(
  run: BuildRun,
  usr: Usr,
  files: { readonly usr: readonly TreeFile[]; readonly state: readonly TreeFile[] },
): Promise<Root> {
  const { image, lock, scratch } = run
  const lister = files.usr.find(({ path }) => path === LISTER)
  if (!lister) throw new SeederError(`the image has no ${LISTER}`, { fix: 'restore images/common/tree' })
  const stateFiles = join(scratch, 'state-files')
  await writeTree(files.state, stateFiles)
  const programs = join(scratch, 'state-programs')
  await writeTree([{ ...lister, path: '/lister' }], programs)
  const script = [
    'mkdir /scratch/state && cd /scratch/state',
    'tar -xf /usr-layer/state.tar --numeric-owner --xattrs',
    CLEAN,
    // After the cleaning, so that an unwanted file of the definition is an error and not silently removed.
    'cp -a --no-preserve=ownership --remove-destination /files/. .',
    `mkdir -p .${dirname(STATE_LIST)}`,
    `bash /programs/lister . > .${STATE_LIST}`,
    `sha256sum < .${STATE_LIST} > /scratch/state.sha256`,
    listFiles('.', STATE_LISTS),
    `tar -cf /scratch/state.tar --numeric-owner --xattrs --sort=name --mtime=@${lock.epoch} --pax-option=delete=atime,delete=ctime .`,
    'rm -f /scratch/root.ext4',
    `mke2fs -q -t ext4 -T default -J size=${JOURNAL_SIZE} -b 4096 -m 1 -L root -U ${stableUuid(`${image.name} root`)} -E hash_seed=${stableUuid(`${image.name} hash seed`)},nodiscard,root_owner=0:0 -d /scratch/state.tar /scratch/root.ext4 ${ROOT_SIZE}`,
  ].join('\n')
  await runStep(run, 'Making the root file system', script, {
    binds: [
      { from: stateFiles, to: '/files' },
      { from: usr.folder, to: '/usr-layer' },
      { from: programs, to: '/programs' },
    ],
  })
  const search = `cd /scratch/state\n${FIND_LEFTOVERS}`
  const findings = await queryTree(run, 'Searching the root file system', search, { binds: [] })
  requireClean('the root file system', findings)
  return { stateList: (await readFile(join(insideOf(scratch), 'state.sha256'), 'utf8')).slice(0, 64) }
}
