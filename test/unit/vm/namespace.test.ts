import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { type Lan, lanScript, raiseLan, requireTun } from '../../../src/vm/lan.ts'
import { namespaceArguments, runInNamespaces } from '../../../src/vm/namespace.ts'

const lan: Lan = {
  bridges: [{ name: 'br-front', addresses: ['10.0.0.40/26', '10.0.0.41/26'], mtu: undefined }],
  taps: [{ name: 'tap0-0', bridge: 'br-front' }],
}

test('a LAN is a bridge with this process’s addresses and the VMs’ TAP devices', () => {
  expect(lanScript(lan)).toBe(`link set lo up
link add br-front type bridge
address add 10.0.0.40/26 dev br-front
address add 10.0.0.41/26 dev br-front
link set br-front up
tuntap add dev tap0-0 mode tap
link set tap0-0 master br-front
link set tap0-0 up
`)
})

test('the MTU of a network is that of its bridge and its TAP devices', async () => {
  const large = { ...lan, bridges: lan.bridges.map((bridge) => ({ ...bridge, mtu: 9000 })) }
  const script = 'ip -batch - && cat /sys/class/net/br-front/mtu /sys/class/net/tap0-0/mtu'
  const inside = ['sh', '-c', `mount -t sysfs sysfs /sys && ${script}`]
  const { stdout } = await execa('unshare', namespaceArguments(inside), { input: lanScript(large) })
  expect(stdout).toBe('9000\n9000')
})

test('the kernel accepts it in a namespace of its own, which has no route out', async () => {
  const script = `ip -batch - && ip -brief address show br-front && bridge link show && ip route get 9.9.9.9`
  const result = await execa('unshare', namespaceArguments(['sh', '-c', script]), {
    input: lanScript(lan),
    reject: false,
  })
  expect(result.stdout).toContain('10.0.0.40/26 10.0.0.41/26')
  expect(result.stdout).toContain('tap0-0')
  expect(result.stderr).toContain('Network is unreachable')
})

test('an error about a LAN or a device names the script that fixes it', async () => {
  const impossible: Lan = { bridges: [], taps: [{ name: 'a-name-that-is-too-long', bridge: 'none' }] }
  await expect(raiseLan(impossible)).rejects.toThrow('could not make the private network')
  await expect(requireTun('/dev/not-there')).rejects.toMatchObject({
    message: "could not open /dev/not-there, which the VMs' network needs",
    fix: expect.stringContaining('scripts/setup.sh'),
  })
})

test('runs in a namespace with the environment and returns the exit status', async () => {
  expect(await runInNamespaces(['sh', '-c', 'exit $STATUS'], { STATUS: '7' })).toBe(7)
})

test('when the outer process is killed, everything inside ends', async () => {
  const inside = `
    import { spawn } from 'node:child_process'
    import { endWithParent } from '${new URL('../../../src/vm/namespace.ts', import.meta.url)}'
    endWithParent()
    spawn('sleep', ['4711'], { detached: true, stdio: 'ignore' }).on('spawn', () => console.log('started'))`
  const outside = `
    import { runInNamespaces } from '${new URL('../../../src/vm/namespace.ts', import.meta.url)}'
    await runInNamespaces([process.execPath, '--input-type=module', '-e', ${JSON.stringify(inside)}], {})`
  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', outside], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(createInterface({ input: child.stdout }), 'line')
    expect(await sleepers()).toBe(1)
    child.kill(signal)
    for (let tries = 0; tries < 50 && (await sleepers()) > 0; tries++) await sleep(100)
    expect(await sleepers()).toBe(0)
  }
})

async function sleepers(): Promise<number> {
  const { stdout } = await execa('ps', ['-eo', 'args'])
  return stdout.split('\n').filter((line) => line.trim() === 'sleep 4711').length
}
