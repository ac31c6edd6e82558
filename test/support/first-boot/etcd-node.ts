import { chmod, cp, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { execa } from 'execa'
import { removeTrees } from '../../../src/build/namespace.ts'
import { statusSchema } from '../../../src/guest/status.ts'
import { goPrograms } from '../programs/build.ts'
import { type Holder, hold, into, type Lan } from './etcd-lan.ts'
import { cloudInitDone, fromPlatform, machineStandIns } from './node.ts'

const images = join(import.meta.dirname, '../../../images')
const standIns = join(import.meta.dirname, 'etcd-stand-ins')

/** As the build leaves it, which lists the image before anything has run in it. */
const listImage = 'mkdir -p /var/lib/seeder && /usr/lib/seeder/state-list >/var/lib/seeder/state.list'

/**
 * A node of the etcd image without a kernel of its own: this machine's programs and a real etcd with the image's
 * files laid over them, in namespaces of its own, where the image's scripts run unchanged and etcd runs until the end.
 */
export class EtcdNode {
  private readonly root: string
  private readonly holder: Holder

  private constructor(root: string, holder: Holder) {
    this.root = root
    this.holder = holder
  }

  /** Makes a node called `name` with an address in the LAN (10.0.0.128/26). */
  static async make(lan: Lan, name: string, address: string): Promise<EtcdNode> {
    const root = await mkdtemp(join(tmpdir(), 'seeder-etcd-'))
    await chmod(root, 0o755)
    for (const folder of ['usr', 'dev', 'proc', 'run', 'tmp', 'var/log', 'var/lib', 'var/content', 'etc']) {
      await mkdir(join(root, folder), { recursive: true })
    }
    for (const link of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${link}`, join(root, link))
    await symlink('/proc/self/fd', join(root, 'dev/fd'))
    for (const image of ['common', 'etcd']) {
      await cp(join(images, image, 'tree/etc'), join(root, 'etc'), { recursive: true })
    }
    await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/bash\n')
    await writeFile(join(root, 'etc/group'), 'root:x:0:\n')
    const usr = [
      standIns,
      machineStandIns,
      ...['etcd', 'common'].map((image) => join(images, image, 'tree/usr')),
      (await goPrograms('etcd-3.7')).usr,
    ]
    const script = `
      root=$1; hostname "$3"
      mount -t overlay overlay -o "lowerdir=$2:/usr" "$root/usr"
      mount -t proc proc "$root/proc"
      # etcd waits for the disk with each write, and these tests are not about disks.
      for folder in lib content; do mount -t tmpfs tmpfs "$root/var/$folder"; done
      for device in null zero urandom; do : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done`
    const holder = await hold(into(lan.holder, 'user', 'net'), ['--net', '--uts'], script, [
      root,
      usr.join(':'),
      name,
    ])
    await lan.plug(holder, address)
    const node = new EtcdNode(root, holder)
    await node.run(listImage)
    return node
  }

  /** Writes a file of the node; for root, and for whoever `mode` lets. */
  async write(path: string, content: string, mode = 0o644): Promise<void> {
    await mkdir(dirname(join(this.root, path)), { recursive: true })
    await writeFile(join(this.root, path), content)
    await chmod(join(this.root, path), mode)
  }

  /** Puts a script in the place of a program in /usr until the function that comes back is called. */
  async replace(program: string, script: string): Promise<() => Promise<string>> {
    await this.write('/var/replacement', script, 0o755)
    await this.run(`/usr/bin/mount --bind /var/replacement ${program}`)
    return () => this.run(`umount ${program}`)
  }

  /** Runs bash in the node. What it prints, also on standard error, and how it ended. */
  async shell(script: string): Promise<{ exitCode: number | undefined; output: string }> {
    const inside = into(this.holder, 'user', 'net', 'mount', 'pid', 'uts').slice(1)
    const command = ['chroot', this.root, '/usr/bin/env', '-i', '/bin/bash', '-c', script]
    const result = await execa('nsenter', [...inside, ...command], {
      reject: false,
      all: true,
      stdin: 'ignore',
    })
    return { exitCode: result.exitCode, output: result.all }
  }

  /** What a command prints that has to succeed. */
  async run(script: string): Promise<string> {
    const { exitCode, output } = await this.shell(script)
    if (exitCode !== 0) throw new Error(`${script}: exit ${exitCode}: ${output}`)
    return output
  }

  /** Ends etcd without a word, as a machine does that loses its power, and with it everything in memory. */
  async crash(): Promise<void> {
    await this.run(`
      [[ ! -e /run/etcd.pid ]] || kill -KILL "$(</run/etcd.pid)" || true
      while pgrep -x etcd >/dev/null; do sleep 1; done
      ! mountpoint -q /var/lib/etcd || umount /var/lib/etcd
      rm -rf /run/*; : > /var/log/etcd.log`)
  }

  /** Restarts the machine without data, configuration or anything else of an earlier boot. */
  async wipe(): Promise<void> {
    await this.crash()
    await this.run('rm -rf /var/lib/etcd /var/lib/seeder /etc/etcd /etc/seeder /var/disks /var/content/*')
    await this.run(listImage)
  }

  /** Runs first boot, and says how it went. */
  async firstBoot() {
    await this.write('/dev/console', '')
    await this.write('/var/calls', '')
    await this.write('/run/cloud-init/status.json', JSON.stringify({ v1: cloudInitDone }))
    for (const [path, text] of Object.entries(await fromPlatform('etcd'))) {
      if (path.startsWith('/etc/seeder/firewall')) await this.write(path, text)
    }
    await this.run('/usr/lib/seeder/firewall load')
    const first = await this.shell('/usr/lib/seeder/first-boot')
    const status = await this.shell('/usr/lib/seeder/status')
    const lines = async (path: string) =>
      (await readFile(join(this.root, path), 'utf8')).split('\n').filter(Boolean)
    return {
      ...first,
      console: await lines('/dev/console'),
      /** What systemctl and mount were called with. */
      calls: await lines('/var/calls'),
      status: statusSchema.parse(JSON.parse(status.output)),
    }
  }

  /** Runs the operator's command. */
  async etcd(...words: string[]) {
    return await this.shell(`/usr/lib/seeder/etcd ${words.join(' ')}`)
  }

  /** Waits until this member is well, which takes as long as the machine that runs the tests is busy with others. */
  async serves(): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      if ((await this.etcd('health')).exitCode === 0) return
      await setTimeout(100)
    }
    throw new Error(`etcd does not serve: ${(await this.etcd('health')).output}`)
  }

  async dispose(): Promise<void> {
    await this.holder.end()
    await removeTrees([this.root])
  }
}
