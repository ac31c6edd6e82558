import { readFile } from 'node:fs/promises'
import type { Image } from '../image/definition.ts'
import { fallbackFor } from '../platform/fallback.ts'
import { nftablesFor } from '../platform/nftables.ts'
import { roles } from '../platform/roles.ts'
import { asRole, formatPort, type Platform } from '../platform/schema.ts'

/**
 * The files of an image that are made from the platform file and its trusted certificates (`trust`: name → file): path in the
 * image → text. An image with several roles has the firewall of each, and starts with that of the first role.
 */
export async function generatedFiles(
  image: Image,
  platform: Platform,
  trust: ReadonlyMap<string, string>,
): Promise<Record<string, string>> {
  const names = image.roles.flatMap((role) => asRole(role) ?? [])
  const files: Record<string, string> = {}
  const [first] = names
  if (first) {
    files['/etc/seeder/firewall.nft'] = nftablesFor(platform, first)
    // In /usr, where dm-verity protects it: it is the fallback for a damaged firewall.nft.
    files['/usr/lib/seeder/fallback.nft'] = fallbackFor(platform, names)
  }
  if (names.length > 1) {
    for (const role of names) files[`/etc/seeder/firewalls/${role}.nft`] = nftablesFor(platform, role)
  }
  if (names.some((role) => roles[role].runsPods)) {
    files['/etc/seeder/cluster.env'] = clusterEnv(platform)
  }
  for (const [name, file] of trust) files[`/etc/seeder/trust/${name}`] = await readFile(file, 'utf8')
  return files
}

/** The internal networks of Kubernetes, in the syntax of systemd's EnvironmentFile. */
function clusterEnv({ cluster }: Platform): string {
  return [
    '# Made from the platform file when the image was built. node.env comes before it.',
    `POD_CIDR=${cluster.pods.cidr}`,
    `POD_INTERFACE="${cluster.pods.interface.join(' ')}"`,
    `SERVICE_CIDR=${cluster.services.cidr}`,
    `NODE_PORTS=${formatPort(cluster.nodePorts)}`,
    '',
  ].join('\n')
}
