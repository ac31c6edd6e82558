import { clusterMount, controlMount, type Layout, layeredFolders, ownFolders } from './layout.ts'

/** A bridge of the host and the host's own addresses on it, with prefix length. */
export interface Bridge {
  readonly name: string
  readonly addresses: readonly string[]
}

/** Programs of this machine that a Proxmox VE host does not have. */
const absent = ['/usr/bin/node', '/usr/bin/jq']

const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'kvm', 'fuse', 'net/tun']

/** Arguments for `unshare` that run a command as the first process of a host. */
export function unshareArguments(asRoot: boolean, command: readonly string[]): string[] {
  return [
    ...(asRoot ? [] : ['--user', '--map-root-user', '--map-auto']),
    '--mount',
    '--pid',
    '--uts',
    '--net',
    '--ipc',
    '--fork',
    '--kill-child',
    '--',
    ...command,
  ]
}

/** Arguments for `nsenter` that run a command in the host that a process holds. */
export function enterArguments(asRoot: boolean, holder: number, command: readonly string[]): string[] {
  const user = asRoot ? [] : ['--user', '--preserve-credentials']
  return [`--target=${holder}`, ...user, '--mount', '--pid', '--uts', '--net', '--ipc', '--', ...command]
}

/**
 * The shell text that turns fresh namespaces into the host and stays as its first process. It prints the holder's
 * process id, as the machine counts it, when all is ready, and ends on a byte in the power FIFO or at its end.
 */
export function hostScript(
  layout: Layout,
  node: string,
  bridges: readonly Bridge[],
  asRoot: boolean,
): string {
  const staged = quote(layout.devices)
  return [
    'umask 022',
    // /proc is still the machine's here, so this is the number that nsenter needs.
    'read -r holder _ < /proc/self/stat',
    `hostname ${node}`,
    ...layeredFolders.map((path) => layerCommand(layout, path, asRoot)),
    `rm -f ${absent.join(' ')}`,
    `mount -t tmpfs -o mode=755 tmpfs ${staged}`,
    `mkdir ${staged}/net ${staged}/pts ${staged}/shm ${staged}/pve ${staged}/zvol`,
    ...devices.flatMap((device) => [
      `if [ -e /dev/${device} ]; then : > ${staged}/${device}; mount --bind /dev/${device} ${staged}/${device}; fi`,
    ]),
    `mount --rbind /dev/pts ${staged}/pts`,
    `mount -t tmpfs -o mode=1777 tmpfs ${staged}/shm`,
    `ln -s pts/ptmx ${staged}/ptmx`,
    `ln -s /proc/self/fd ${staged}/fd`,
    ...[0, 1, 2].map((fd) => `ln -s fd/${fd} ${staged}/${['stdin', 'stdout', 'stderr'][fd]}`),
    `mount --rbind ${staged} /dev`,
    ...ownFolders.map((path) => `mount --bind ${quote(layout.own(path))} ${path}`),
    'mount -t tmpfs -o mode=755 tmpfs /run',
    'mkdir -m 1777 /run/lock',
    `mkdir /run/lock/qemu-server /run/qemu-server ${controlMount} ${clusterMount}`,
    `mount --bind /etc/pve ${clusterMount}`,
    `mount --bind ${quote(layout.control)} ${controlMount}`,
    'ip -batch - <<END',
    'link set lo up',
    ...bridges.flatMap(({ name, addresses }) => [
      `link add ${name} type bridge`,
      ...addresses.map((address) => `address add ${address} dev ${name}`),
      `link set ${name} up`,
    ]),
    'END',
    'mount -t sysfs sysfs /sys',
    'mount -t proc proc /proc',
    `echo "$holder" > ${controlMount}/holder`,
    'echo "$holder"',
    // An ignored SIGCHLD is inherited: the kernel itself then reaps what the first process adopts.
    `exec env --ignore-signal=CHLD head -c 1 ${controlMount}/power > /dev/null 2>&1`,
  ].join('\n')
}

function layerCommand(layout: Layout, path: string, asRoot: boolean): string {
  const options = [
    `lowerdir=${path}`,
    `upperdir=${escapeLayer(layout.upper(path))}`,
    `workdir=${escapeLayer(layout.work(path))}`,
    ...(asRoot ? [] : ['userxattr']),
  ]
  return `mount -t overlay -o ${quote(options.join(','))} overlay ${path}`
}

/** In mount options a comma ends a value, and a colon a layer. */
function escapeLayer(path: string): string {
  return path.replace(/[\\,:]/g, '\\$&')
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
