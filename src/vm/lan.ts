import { open } from 'node:fs/promises'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** A private network: a Linux bridge, and the addresses of this process on it. */
export interface LanBridge {
  readonly name: string
  /** With prefix length. */
  readonly addresses: readonly string[]
  /** Of the bridge and its TAP devices; undefined for the kernel's default. */
  readonly mtu: number | undefined
}

/** The private networks of a test, and the bridge of each VM's TAP device. */
export interface Lan {
  readonly bridges: readonly LanBridge[]
  readonly taps: readonly { readonly name: string; readonly bridge: string }[]
}

/** The script for `ip -batch` that makes a private LAN in a new network namespace. */
export function lanScript(lan: Lan): string {
  const mtus = new Map(lan.bridges.map(({ name, mtu }) => [name, mtu]))
  const setMtu = (name: string, mtu: number | undefined) =>
    mtu === undefined ? [] : [`link set ${name} mtu ${mtu}`]
  return [
    'link set lo up',
    ...lan.bridges.flatMap(({ name, addresses, mtu }) => [
      `link add ${name} type bridge`,
      ...setMtu(name, mtu),
      ...addresses.map((address) => `address add ${address} dev ${name}`),
      `link set ${name} up`,
    ]),
    ...lan.taps.flatMap(({ name, bridge }) => [
      `tuntap add dev ${name} mode tap`,
      ...setMtu(name, mtus.get(bridge)),
      `link set ${name} master ${bridge}`,
      `link set ${name} up`,
    ]),
    '',
  ].join('\n')
}

/**
 * Makes the private LAN in this process's network namespace, which has to be its own.
 * @throws SeederError when the kernel or `ip` refuses
 */
export async function raiseLan(lan: Lan): Promise<void> {
  try {
    await execa('ip', ['-batch', '-'], { input: lanScript(lan) })
  } catch (cause) {
    throw new SeederError('could not make the private network (bridges and TAP devices) for the VMs', {
      fix: 'run scripts/setup.sh: it needs iproute2 and the kernel modules bridge and tun',
      cause,
    })
  }
}

/**
 * Checks that this user may make TAP devices.
 * @throws SeederError when /dev/net/tun is not there or not open to the user
 */
export async function requireTun(device = '/dev/net/tun'): Promise<void> {
  try {
    const handle = await open(device, 'r+')
    await handle.close()
  } catch (cause) {
    throw new SeederError(`could not open ${device}, which the VMs' network needs`, {
      fix: `run scripts/setup.sh once: it loads the tun module and opens ${device} to every user`,
      cause,
    })
  }
}
