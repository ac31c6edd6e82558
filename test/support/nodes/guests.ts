// Put before the `qm` of a stand-in host, for tests in which nothing boots: VMs that "run" and whose "agent" answers for a
// node that is configured, a cluster of etcd or a pair of load balancers among them. What a guest has on its disk is below
// /var/lib/guests, and whether it runs below /run/guests. All other commands go to the stand-in itself, which is argv[2].
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

interface Member {
  name: string
  address: string
  learner: boolean
  started: boolean
}

const [, , itself = '', ...argv] = process.argv
const [command = '', id = ''] = argv
const running = (vmid: string) => existsSync(`/run/guests/${vmid}`)

mkdirSync('/run/guests', { recursive: true })
mkdirSync('/var/lib/guests', { recursive: true })
process.exitCode = main()

function main(): number {
  if (command === 'guest' && id === 'exec') return exec(argv[2] ?? '', argv.slice(argv.indexOf('--') + 1))
  if (command === 'status' && running(id) && existsSync(`/etc/pve/qemu-server/${id}.conf`))
    return say('status: running')
  if (command === 'destroy' && running(id)) return fail(`VM ${id} is running - destroy failed`)
  if (command === 'stop' || command === 'shutdown') {
    if (!running(id)) return fail(`VM ${id} not running`)
    rmSync(`/run/guests/${id}`)
    return 0
  }
  if (command === 'start') return start()
  const { status } = spawnSync(itself, argv, { stdio: 'inherit' })
  if (command === 'destroy' && status === 0) {
    // A VM's disk goes with it.
    rmSync(`/var/lib/guests/${id}.env`, { force: true })
  }
  return status ?? 255
}

function say(text: string): number {
  console.log(text)
  return 0
}

function fail(text: string): number {
  console.error(text)
  return 255
}

function start(): number {
  if (running(id)) return fail(`VM ${id} already running`)
  // The drive is written again with each start, which fails when the vendor data is missing.
  const update = spawnSync(itself, ['cloudinit', 'update', id], { encoding: 'utf8' })
  if (update.status !== 0) return fail(update.stderr)
  const volume = /^cicustom: .*vendor=local:(\S+)$/m.exec(
    readFileSync(`/etc/pve/qemu-server/${id}.conf`, 'utf8'),
  )?.[1]
  const vendor = volume === undefined ? '' : readFileSync(`/var/lib/vz/${volume}`, 'utf8')
  const env = /path: \/etc\/seeder\/node\.env\n.*\n {4}content: \|\n((?: {6}.*\n)*)/.exec(vendor)?.[1] ?? ''
  save(`/var/lib/guests/${id}.env`, env.replaceAll(/^ {6}/gm, ''))
  writeFileSync(`/run/guests/${id}`, '')
  boot()
  return 0
}

function value(vmid: string, key: string): string {
  const text = existsSync(`/var/lib/guests/${vmid}.env`)
    ? readFileSync(`/var/lib/guests/${vmid}.env`, 'utf8')
    : ''
  return new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? ''
}

function own(vmid: string): string {
  const text = readFileSync(`/etc/pve/qemu-server/${vmid}.conf`, 'utf8')
  return /^ipconfig0: ip=([\d.]+)/m.exec(text)?.[1] ?? ''
}

/** What first boot does with a member of etcd. */
function boot(): void {
  const state = value(id, 'ETCD_STATE')
  if (state === '') return
  const all: Member[] = value(id, 'ETCD_MEMBERS')
    .split(' ')
    .map((one) => one.split('='))
    .map(([name = '', address = '']) => ({ name, address, learner: false, started: false }))
  const members = state === 'new' && !existsSync('/var/lib/guests/etcd') ? all : load()
  const mine = members.find(({ address }) => address === own(id))
  if (!mine) return
  mine.started = true
  mine.name = all.find(({ address }) => address === mine.address)?.name ?? ''
  save('/var/lib/guests/etcd', JSON.stringify(members))
}

function load(): Member[] {
  return existsSync('/var/lib/guests/etcd') ? JSON.parse(readFileSync('/var/lib/guests/etcd', 'utf8')) : []
}

function save(file: string, text: string): void {
  writeFileSync(`${file}.${process.pid}`, text)
  renameSync(`${file}.${process.pid}`, file)
}

/** `qm guest exec`: exit status 0, whatever the command's own. */
function exec(vmid: string, words: readonly string[]): number {
  if (!running(vmid)) return fail(`VM ${vmid} is not running`)
  const [exitcode, out] =
    words[0] === '/usr/lib/seeder/etcd' ? etcd(vmid, words.slice(1)) : other(vmid, words)
  const result = exitcode === 0 ? { 'out-data': `${out}\n` } : { 'err-data': `${out}\n` }
  return say(JSON.stringify({ exitcode, exited: 1, ...result }, null, 3))
}

function etcd(vmid: string, [verb = '', name = '', address = '']: readonly string[]): [number, string] {
  const members = load()
  const up = (member: Member) =>
    ids().some((one) => running(one) && own(one) === member.address) && member.started
  const voters = members.filter(({ learner }) => !learner)
  const mine = members.find((member) => member.address === own(vmid))
  if (!mine || mine.learner || voters.filter(up).length * 2 <= voters.length)
    return [1, 'etcd: there is no quorum']
  const meant = members.find((member) => [member.name, member.address].includes(name))
  if (verb === 'health') return [0, '{"healthy":true,"reason":""}']
  if (verb === 'members') {
    const what = (one: Member) => {
      if (!one.started) return 'unstarted'
      if (!up(one)) return 'silent'
      return one.learner ? 'learner' : one === mine ? 'leader' : 'follower'
    }
    return [
      0,
      members.map((one) => `${one.started ? one.name : '-'} ${one.address} 1 ${what(one)}`).join('\n'),
    ]
  }
  if (verb === 'add') {
    if (meant || members.some((one) => one.address === address)) return [1, 'etcd: there is a member already']
    members.push({ name, address, learner: true, started: false })
  } else if (verb === 'promote') {
    if (!meant || !up(meant)) return [1, `etcd: ${name} could not be promoted`]
    meant.learner = false
  } else if (verb === 'remove') {
    if (!meant || meant === mine) return [1, `etcd: ${name} cannot be removed here`]
    members.splice(members.indexOf(meant), 1)
  }
  save('/var/lib/guests/etcd', JSON.stringify(members))
  return [0, 'done']
}

function ids(): string[] {
  const files = execFileSync('ls', ['/etc/pve/qemu-server'], { encoding: 'utf8' }).split('\n')
  return files.flatMap((file) => /^(\d+)\.conf$/.exec(file)?.[1] ?? [])
}

function other(vmid: string, words: readonly string[]): [number, string] {
  const file = `/var/lib/guests/${vmid}.env`
  const [program = ''] = words
  if (program === '/usr/lib/seeder/status') return [0, `{"state":"ready","reason":"${status(vmid)}"}`]
  if (program === '/usr/bin/ip') return [0, addresses(vmid)]
  if (program === '/usr/bin/grep') {
    return [
      readFileSync(file, 'utf8')
        .split('\n')
        .includes(words.at(-2) ?? '')
        ? 0
        : 1,
      '',
    ]
  }
  if (program === '/bin/bash') {
    save(file, readFileSync(file, 'utf8').replace(/^VRRP_PEERS=.*$/m, words.at(-1) ?? ''))
    return [0, '']
  }
  return [127, `${program}: not found`]
}

function status(vmid: string): string {
  if (value(vmid, 'BOOTSTRAP') !== '') return 'worker; kubeadm: done: joined'
  return existsSync(`/var/lib/guests/${vmid}.env`) ? 'all is well' : 'not configured: no values'
}

/** Of the load balancers that run, the one with the highest priority has the VIPs. */
function addresses(vmid: string): string {
  const all = ids().filter((one) => running(one) && value(one, 'VIP') !== '')
  const [holder] = all.sort((a, b) => Number(value(b, 'VRRP_PRIORITY')) - Number(value(a, 'VRRP_PRIORITY')))
  const vips = holder === vmid ? value(vmid, 'VIP').split(' ') : []
  return [`${own(vmid)}/26`, ...vips]
    .map((one) => `2: eth0    inet ${one} brd 10.0.0.63 scope global eth0`)
    .join('\n')
}
