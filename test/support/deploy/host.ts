import { join } from 'node:path'
import { type HostResult, PveHost, type RunOptions } from '../../stand-ins/proxmox/host.ts'
import { checkout } from '../seeder.ts'

/** The script under test, where the host sees it. */
export const deployScript = join(checkout, 'scripts/deploy.sh')

/** Runs deploy.sh on a stand-in host as root does. */
export function deploy(host: PveHost, argv: readonly string[], options?: RunOptions): Promise<HostResult> {
  return host.run([deployScript, ...argv], options)
}

/** As `deploy`, but has to succeed. Returns its messages and its result. */
export async function mustDeploy(host: PveHost, argv: readonly string[]): Promise<HostResult> {
  const result = await deploy(host, argv)
  if (result.code !== 0)
    throw new Error(`deploy.sh ${argv.join(' ')} ended with ${result.code}: ${result.stderr}`)
  return result
}

/** Makes and starts a stand-in host that takes unsigned images, so that a test need not sign each. */
export async function startHost(folder: string): Promise<PveHost> {
  const host = await PveHost.create(folder)
  await host.start()
  await host.run([
    'sh',
    '-euc',
    'mkdir -p /etc/seeder; printf "ALLOW_UNSIGNED=1\\nSMOKE=0\\n" > /etc/seeder/deploy.conf',
  ])
  return host
}

/** A VM's configuration by key; `description` is the text of its comment lines. */
export function parseConfig(text: string): Record<string, string> {
  const [current = ''] = text.split(/^\[/m)
  const lines = current.split('\n')
  const comment = lines
    .filter((line) => line.startsWith('#'))
    .map((line) => decodeURIComponent(line.slice(1)))
  const values = lines.flatMap((line): [string, string][] => {
    const [, key = '', value = ''] = /^([a-z0-9]+): ?(.*)$/.exec(line) ?? []
    return key === '' ? [] : [[key, value]]
  })
  return { ...Object.fromEntries(values), ...(comment.length > 0 ? { description: comment.join('\n') } : {}) }
}

/** The configurations of all VMs of a host by VMID. */
export async function configsOf(host: PveHost): Promise<Map<number, Record<string, string>>> {
  return new Map([...(await host.configs())].map(([vmid, text]) => [vmid, parseConfig(text)]))
}

/** The VMIDs that carry a tag. */
export async function tagged(host: PveHost, tag: string): Promise<number[]> {
  return [...(await configsOf(host))]
    .filter(([, config]) => (config.tags ?? '').split(';').includes(tag))
    .map(([vmid]) => vmid)
}

// What differs from one undisturbed run to the next.
const varying: readonly (readonly [RegExp, string])[] = [
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID'],
  [/BC:24:11(:[0-9A-F]{2}){3}/g, 'MAC'],
  [/ctime=\d+/g, 'ctime=TIME'],
  [/\d{4}-\d\d-\d\dT\d\d(:|%3A)\d\d(:|%3A)\d\dZ/g, 'DATE'],
]

const inventoryScript = `
cd /
for file in etc/pve/nodes/*/qemu-server/*.conf; do if [ -e "$file" ]; then echo "== $file"; cat "$file"; fi; done
echo '== volumes'
# Disks are grown with holes to many GiB: what is in them is at their beginning.
find var/lib/vz/images dev/pve dev/zvol -type f | sort | while read -r file; do
    # A cloud-init drive has the time in it.
    case $file in *cloudinit*) digest='' ;; *) digest=$(head -c 33554432 "$file" | sha256sum) ;; esac
    echo "$digest $(stat -c %s "$file") $file"
done
echo '== snippets and locks'
find var/lib/vz/snippets etc/pve/priv/lock -mindepth 1 | sort
echo '== state'
find var/lib/seeder -mindepth 1 ! -path 'var/lib/seeder/history/*' ! -name 'lock*' | sort
for file in var/lib/seeder/templates/*; do if [ -e "$file" ]; then echo "== $file"; cat "$file"; fi; done
`

/** All that a host keeps, as text in which two undisturbed runs do not differ. */
export async function inventory(host: PveHost): Promise<string> {
  const { stdout } = await host.run(['sh', '-c', inventoryScript])
  return varying.reduce((text, [pattern, name]) => text.replace(pattern, name), stdout)
}

/** The log of an earlier transaction of deploy.sh that ended last. */
export async function lastTransaction(host: PveHost): Promise<string> {
  const { stdout } = await host.run(['sh', '-c', 'cd /var/lib/seeder/history && cat "$(ls -t | head -n 1)"'])
  return stdout
}
