import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { RunnerHost } from '../../support/host/runner-host.ts'

/** What Proxmox VE has as a storage, wherever it lies, is none of a job's business. */
const CONFIGURATION = `
dir: local
	path /var/lib/vz
	content iso,vztmpl,backup

dir: tank
	path /tank/shared
	content snippets,images
	nodes pve7

# The rest is mounted, or has a name that has to be quoted.
nfs: nas
	export /export
	server 192.0.2.7
	content snippets

cephfs: ceph
	path /ceph
	content snippets

btrfs: odd
	path /data/with "space" %n\\x/
	content snippets

dir: linked
	path /current
	content snippets

zfspool: local-zfs
	pool rpool/data
	content rootdir

zfspool: fast
	pool fast
	mountpoint /pools/fast
	content rootdir

lvmthin: local-lvm
	thinpool data
	vgname pve
	content images

own-plugin: shared
	path /plugin//of/../mine
	content snippets
`

const HIDDEN = [
  '/tank/shared/snippets',
  '/mnt/pve/nas/snippets',
  '/ceph/snippets',
  '/data/with "space" %n\\x/snippets',
  '/real/snippets',
  '/rpool/data/subvol-100-disk-0',
  '/pools/fast/subvol-101-disk-0',
  '/dev/zvol/rpool/data',
  '/dev/pve',
  '/plugin/mine/snippets',
]

let host: RunnerHost
beforeAll(async () => {
  host = await RunnerHost.prepare()
  await configure(CONFIGURATION)
  await host.machine.read(
    'mkdir -p /real; ln -s /real /current; for folder; do mkdir -p "$folder"; echo a-secret >"$folder/user.yaml"; done; chmod -R a+rX /tank',
    ...HIDDEN,
  )
  await host.install()
})
beforeEach(() => host.idle())
afterAll(async () => {
  await host[Symbol.asyncDispose]()
})

const configure = (text: string) =>
  host.machine.run(['tee', '/etc/pve/storage.cfg'], { input: text, stdin: 'pipe' })

/** What a job sees of the files in some folders. */
function seen(folders: readonly string[]): Promise<string[]> {
  const words = folders.map((folder) => `'${folder}'`).join(' ')
  return host.job(
    `for folder in ${words}; do cat "$folder/user.yaml" 2>&1; ls "$folder" 2>&1; done | grep -v -e denied; true`,
  )
}

it('a job sees nothing of the storages of storage.cfg, and all else as before', async () => {
  // The machine's own /tank is there to be seen, as everybody may read it.
  await host.machine.read('mkdir -p /tank/else; echo "no secret" >/tank/else/user.yaml')
  expect(await seen([...HIDDEN, '/tank/else'])).toEqual(['no secret', 'user.yaml'])
})

it('a storage that is added is hidden from the job after, and from a runner that waits for one', async () => {
  const { machine } = host
  await machine.read('mkdir -p /late/snippets; echo a-secret >/late/snippets/user.yaml')
  expect(await seen(['/late/snippets'])).toEqual(['a-secret', 'user.yaml'])
  await host.idle()
  const waits = await machine.read('systemctl show -P InvocationID seeder-runner-job')
  await configure(`${CONFIGURATION}\ndir: late\n\tpath /late\n\tcontent snippets\n`)
  await machine.until('[ "$(systemctl show -P InvocationID seeder-runner-job)" != "$1" ]', waits)
  expect(await seen(['/late/snippets'])).toEqual([])

  // One that did not exist when the runner began to wait.
  await configure(`${CONFIGURATION}\ndir: later\n\tpath /later\n\tcontent snippets\n`)
  await machine.until(
    'grep -q "^# is not there: ./later" /run/systemd/system/seeder-runner-job.service.d/storages.conf',
  )
  await host.idle()
  const again = await machine.read('systemctl show -P InvocationID seeder-runner-job')
  await machine.read('mkdir -p /later/snippets; echo a-secret >/later/snippets/user.yaml')
  await machine.until('[ "$(systemctl show -P InvocationID seeder-runner-job)" != "$1" ]', again)
  expect(await seen(['/later/snippets'])).toEqual([])
})

it('of one that lies where jobs need other files the content is hidden, and status says so', async () => {
  const { machine } = host
  await machine.read(
    'for folder in /snippets /images /own/place /private; do mkdir -p $folder; echo a-secret >$folder/user.yaml; done',
  )
  await configure('dir: whole\n\tpath /\n\tcontent snippets\n\tcontent-dirs iso=own/place,images=images\n')
  await machine.until('grep -q /own/place /run/systemd/system/seeder-runner-job.service.d/storages.conf')
  await host.idle()
  expect(await seen(['/snippets', '/images', '/own/place', '/private'])).toEqual([])
  expect((await host.runner('status')).all).toContain(
    'problem    the storage whole in / is where jobs need other things',
  )
})

it.each([
  [
    'a storage has what a job needs',
    'dir: whole\n\tpath /var/lib\n\tcontent snippets\n\tcontent-dirs snippets=seeder-runner\n',
    "the storage whole has /var/lib/seeder-runner, where a job's own files or programs are",
  ],
  ['Proxmox VE is not there', undefined, "Proxmox VE's configuration is not in /etc/pve"],
])('no job is taken while %s', async (_, configuration, words) => {
  const { machine } = host
  if (configuration === undefined) await machine.read('mv /etc/pve/local /etc/pve/nowhere')
  else await configure(configuration)
  await machine.until(
    'journalctl -o cat -u seeder-runner | grep -qF "no job is taken, as it could see too much: $1"',
    words,
  )
  expect((await machine.bash('systemctl is-active seeder-runner-job')).stdout).toBe('inactive')
  expect((await host.runner('status')).all).toContain(`no job is taken, as it could see too much: ${words}`)
  await machine.read('[ -L /etc/pve/local ] || mv /etc/pve/nowhere /etc/pve/local')
  await configure(CONFIGURATION)
  await host.idle()
  expect(await seen(['/tank/shared/snippets'])).toEqual([])
})
