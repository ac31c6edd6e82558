import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { generatedFiles } from '../../../src/build/generated.ts'
import { statusSchema } from '../../../src/guest/status.ts'
import { loadImage } from '../../../src/image/definition.ts'
import { loadPlatform } from '../../../src/platform/load.ts'

const checkout = join(import.meta.dirname, '../../..')
const images = join(checkout, 'images')
export const platform = await loadPlatform(join(checkout, 'platform.yaml'))

/** What an image has from the platform file: its firewalls. Path in the image → text. */
export async function fromPlatform(image: string): Promise<Record<string, string>> {
  return generatedFiles(await loadImage(checkout, image), platform, new Map())
}
/** For what only a machine with a disk has. */
export const machineStandIns = join(import.meta.dirname, 'machine-stand-ins')
// Those of every image, then those of one.
const standIns = join(import.meta.dirname, 'stand-ins')
const standInsOf = (image: string) => join(import.meta.dirname, `${image}-stand-ins`)

/** Two cards, as `ip -4 -o address show` prints them. */
export const twoCards = `
2: eth0    inet 10.0.0.11/26 brd 10.0.0.63 scope global eth0\\       valid_lft forever preferred_lft forever
3: eth1    inet 10.0.0.75/26 brd 10.0.0.127 scope global eth1\\       valid_lft forever preferred_lft forever
`.trimStart()

/** What cloud-init reports of itself after it could use all of its drive. */
export const cloudInitDone = {
  datasource: 'DataSourceNoCloud [seed=/dev/sr0]',
  'init-local': { start: 4.1, finished: 5.2, errors: [], recoverable_errors: {} },
  init: {
    start: 6.3,
    finished: 7.4,
    errors: [],
    recoverable_errors: { DEPRECATED: ["'user' of type string is deprecated in 22.2"] },
  },
}

/** How a run of first boot ended. */
export interface FirstBoot {
  readonly exitCode: number | undefined
  /** What the console showed, by line. */
  readonly console: string[]
  /** What `systemctl` and the checkers were called with, by call. */
  readonly calls: string[]
  readonly status: ReturnType<typeof statusSchema.parse>
}

/**
 * A node of an image without a kernel of its own: this machine's programs with the image's files laid over
 * them, in a root of its own, where the image's scripts run unchanged. What it writes stays from run to run.
 */
export class Node {
  private readonly root: string
  private readonly image: string
  hostname = 'node1'
  /** Folders of programs that the image has and this machine has not, as of a `/usr`. */
  programs: readonly string[] = []
  /** What cloud-init reports of itself at the next boot. */
  cloudInit: object = cloudInitDone

  private constructor(root: string, image: string) {
    this.root = root
    this.image = image
  }

  static async make(image = 'haproxy'): Promise<Node> {
    const node = new Node(await mkdtemp(join(tmpdir(), 'seeder-node-')), image)
    for (const folder of ['usr', 'dev', 'proc', 'run', 'tmp', 'var', 'etc/keepalived']) {
      await mkdir(join(node.root, folder), { recursive: true })
    }
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(node.root, name))
    await symlink('/proc/self/fd', join(node.root, 'dev/fd'))
    for (const folder of ['common', image]) {
      await cp(join(images, folder, 'tree/etc'), join(node.root, 'etc'), { recursive: true })
    }
    for (const [path, text] of Object.entries(await fromPlatform(image))) {
      await node.write(path.replace(/^\/usr\//, '/made/usr/'), text)
    }
    await node.write('/dev/null', '')
    await node.write('/var/addresses', twoCards)
    await node.reportOfCloudInit()
    // As the build leaves it, which lists the image before anything has run in it.
    const { exitCode, stderr } = await node.enter(
      '/bin/sh',
      '-c',
      'mkdir -p /var/lib/seeder && /usr/lib/seeder/state-list >/var/lib/seeder/state.list',
    )
    if (exitCode !== 0) throw new Error(`the image cannot be listed: ${stderr}`)
    return node
  }

  /** Writes a file of the node. */
  async write(path: string, content: string, mode = 0o644): Promise<void> {
    await mkdir(dirname(join(this.root, path)), { recursive: true })
    await writeFile(join(this.root, path), content)
    await chmod(join(this.root, path), mode)
  }

  /** As `write`, of what may be no text. */
  async writeBytes(path: string, content: Buffer): Promise<void> {
    await mkdir(dirname(join(this.root, path)), { recursive: true })
    await writeFile(join(this.root, path), content)
  }

  /** A file's permissions, in octal as in `600`; undefined if there is no such file. */
  async mode(path: string): Promise<string | undefined> {
    const found = await stat(join(this.root, path)).catch(() => undefined)
    return found && (found.mode & 0o7777).toString(8)
  }

  /** Reads a file of the node; undefined if there is none. */
  async read(path: string): Promise<string | undefined> {
    return await readFile(join(this.root, path), 'utf8').catch(() => undefined)
  }

  async remove(path: string): Promise<void> {
    await rm(join(this.root, path))
  }

  /** Boots once: `/run`, the console and the record of calls begin empty. With `complains` the shell itself may, too; `before` is a script that runs first. */
  async boot(complains = false, before = ''): Promise<FirstBoot> {
    await rm(join(this.root, 'run'), { recursive: true })
    await mkdir(join(this.root, 'run'))
    await this.reportOfCloudInit()
    return this.run(complains, before)
  }

  private reportOfCloudInit(): Promise<void> {
    return this.write('/run/cloud-init/status.json', JSON.stringify({ v1: this.cloudInit }))
  }

  /** Loads the firewall and runs first boot, as at a boot, in a node whose /run is as it was left. */
  async run(complains = false, before = ''): Promise<FirstBoot> {
    await this.write('/dev/console', '')
    await this.write('/var/calls', '')
    const services = `${before}\n/usr/lib/seeder/firewall load; /usr/lib/seeder/first-boot; code=$?`
    const status = '/usr/lib/seeder/status; exit $code'
    const { exitCode, stdout, stderr } = await this.enter('/bin/bash', '-c', `${services}; ${status}`)
    if (stderr && !complains) throw new Error(`first-boot wrote to standard error: ${stderr}`)
    return {
      exitCode,
      console: lines(await this.read('/dev/console')),
      calls: lines(await this.read('/var/calls')),
      status: statusSchema.parse(JSON.parse(stdout.split('\n').at(-1) ?? '')),
    }
  }

  /** Runs a program in the node. */
  async enter(...command: string[]) {
    const trees = [this.image, 'common'].map((image) => join(images, image, 'tree/usr'))
    const own = [standInsOf(this.image), standIns, machineStandIns].filter(existsSync)
    const usr = [...own, join(this.root, 'made/usr'), ...trees, ...this.programs, '/usr']
    const script = `
      root=$1; usr=$2; echo "$3" >/proc/sys/kernel/hostname; shift 3
      mount -t overlay overlay -o "lowerdir=$usr" "$root/usr"
      mount --rbind /proc "$root/proc"
      mount --bind /dev/null "$root/dev/null"
      exec chroot "$root" /usr/bin/env -i "$@"`
    return await execa(
      'unshare',
      [
        '--user',
        '--map-root-user',
        '--mount',
        '--net',
        '--uts',
        'bash',
        '-ec',
        script,
        'enter',
        this.root,
        usr.join(':'),
        this.hostname,
        ...command,
      ],
      { reject: false, stdin: 'ignore' },
    )
  }

  async dispose(): Promise<void> {
    await rm(this.root, { recursive: true, force: true })
  }
}

function lines(text: string | undefined): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '')
}
