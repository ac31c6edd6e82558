import { cp, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import type { RunnerHost } from './runner-host.ts'

/** Of Proxmox VE's commands a plan calls one. While there is a file /shared/hold it does not end. */
const PVESM = `#!/bin/sh
while [ -e /shared/hold ]; do sleep 0.1; done
echo 'Name Type Status Total Used Available %'
echo 'local dir active 100000000 0 100000000 0%'
`

/** What takes unsigned images. */
const POLICY = 'STORAGE=local\nSMOKE=0\nALLOW_UNSIGNED=1\n'

/**
 * Gives a machine the checkout's deploy.sh in the place of the stand-in, what that needs to plan, and an image as
 * /shared/image. To be called before the runner is installed.
 */
export async function furnishDeploying(host: RunnerHost, image: string): Promise<void> {
  const { machine } = host
  const commands = path.join(machine.shared, 'commands')
  await mkdir(commands)
  for (const name of ['qm', 'pvesm']) await writeFile(path.join(commands, name), PVESM, { mode: 0o755 })
  await cp(image, path.join(machine.shared, 'image'), { recursive: true })
  await execa('chmod', ['-R', 'a+rX', path.join(machine.shared, 'image')])
  await writeFile(path.join(machine.shared, 'policy'), POLICY)
  await machine.read(`
    mount -t overlay -o lowerdir=/shared/commands:/usr/sbin overlay /usr/sbin
    cp /checkout/scripts/deploy.sh ~/seeder/scripts; mkdir -p /etc/seeder; cp /shared/policy /etc/seeder/deploy.conf`)
}
