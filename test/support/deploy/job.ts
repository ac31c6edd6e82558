import type { HostResult, PveHost } from '../../stand-ins/proxmox/host.ts'
import { deployScript } from './host.ts'

const installed = '/usr/local/lib/seeder/deploy.sh'
const install = `
mount -t tmpfs -o mode=755 tmpfs /usr/local/lib
mkdir /usr/local/lib/seeder
install -m 755 "$0" ${installed}
echo 'nobody ALL=(root:root) NOPASSWD:NOSETENV: ${installed}' >/etc/sudoers.d/seeder
chmod 440 /etc/sudoers.d/seeder`

// Who has no root on this machine has no sudo in his namespaces either: then only what sudo says of its caller is there.
const hasSudo = process.getuid?.() === 0

/** Lets a job start deploy.sh on a host, by the rule that runner.sh writes. */
export async function admitJobs(host: PveHost): Promise<void> {
  if (!hasSudo) return
  const { code, stderr } = await host.run(['sh', '-euc', install, deployScript])
  if (code !== 0) throw new Error(stderr)
}

/** Runs deploy.sh as a job does: without root, through sudo. */
export function deployAsJob(host: PveHost, argv: readonly string[]): Promise<HostResult> {
  if (!hasSudo) return host.run([deployScript, ...argv], { env: { SUDO_UID: '1000', SUDO_USER: 'runner' } })
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']
  return host.run([...nobody, 'sudo', '-n', installed, ...argv], { cwd: '/' })
}
