import type { GuestAgent } from '../../vm/agent.ts'
import { expect } from '../checks.ts'
import { unitState } from '../first-boot.ts'
import { containerImage, GREETING_LINE, IMAGE_NAME } from './container-image.ts'

const ARCHIVE_FILE = '/run/test-image.tar'

/** containerd runs with the version and the settings that the kubelet needs. */
export async function checkContainerd(agent: GuestAgent): Promise<string> {
  const state = await unitState(agent, 'containerd.service')
  expect(state === 'active', `containerd.service is ${state}`)
  const version =
    /Server:\s+Version:\s+v?(\S+)/.exec(await agent.output(['/usr/bin/ctr', 'version']))?.[1] ?? ''
  expect(Number.parseInt(version, 10) >= 2, `the version of containerd is ${version || 'unknown'}`)
  const plugins = await agent.output(['/usr/bin/ctr', 'plugins', 'ls'])
  const cri = plugins.split('\n').filter((line) => /\bcri\b|io\.containerd\.cri/.test(line))
  expect(
    cri.length > 0 && cri.every((line) => /\sok\s*$/.test(line)),
    `CRI: ${cri.join('; ') || 'no plugin'}`,
  )
  const settings = checkContainerdSettings(await agent.output(['/usr/bin/containerd', 'config', 'dump']))
  // As kubeadm and the kubelet, crictl has to find the socket without an option.
  const answer = await agent.output(['/usr/bin/crictl', 'version'])
  const found = [/RuntimeName:\s+(\S+)/, /RuntimeApiVersion:\s+(\S+)/].map((field) => field.exec(answer)?.[1])
  expect(found.join(' ') === 'containerd v1', `crictl finds ${found.join(' ')}`)
  return `containerd ${version}, CRI v1 is ok, ${settings}`
}

/** Checks `containerd config dump`: systemd manages the cgroups, and the pause image is pinned. */
export function checkContainerdSettings(dump: string): string {
  expect(/^\s*version = 3\b/m.test(dump), 'its configuration is not version 3')
  expect(/^\s*SystemdCgroup = true$/m.test(dump), 'SystemdCgroup is not true')
  const sandbox = /^\s*sandbox = ['"]([^'"]+)['"]$/m.exec(dump)?.[1]
  expect(sandbox !== undefined && /\/pause:\d/.test(sandbox), `the sandbox image is ${sandbox ?? 'not set'}`)
  expect(/^\s*bin_dirs? = .*\/opt\/cni\/bin/m.test(dump), 'it does not look for CNI plugins in /opt/cni/bin')
  return `SystemdCgroup, sandbox image ${sandbox}`
}

/** A container of `containerImage` runs. */
export async function checkContainer(agent: GuestAgent): Promise<string> {
  const image = containerImage()
  await agent.output(['/bin/bash', '-euc', `base64 --decode >${ARCHIVE_FILE}`], image.toString('base64'))
  await agent.output(['/usr/bin/ctr', 'images', 'import', ARCHIVE_FILE])
  const output = await agent.output(['/usr/bin/ctr', 'run', '--rm', IMAGE_NAME, 'test'])
  expect(output.trim() === GREETING_LINE, `the container printed "${output.trim()}"`)
  await agent.output(['/usr/bin/ctr', 'images', 'remove', IMAGE_NAME])
  return `an image of ${image.length} bytes was imported; its container printed "${output.trim()}"`
}
