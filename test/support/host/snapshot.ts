import type { Machine } from './machine.ts'

/** Backups and lock files of the tools that keep users, and what a runner does meanwhile. */
const PASSING = [
  ...['passwd-', 'group-', 'shadow-', 'gshadow-', 'subuid-', 'subgid-', '.pwd.lock'].map(
    (name) => `/etc/${name}`,
  ),
  '/var/lib/seeder-runner/job',
  '/var/lib/seeder-runner/registered',
  '/var/tmp/systemd-private-*',
]

/** Everything in the machine's /etc, /var and /usr/local: kind, owner, mode and content, a line for each path. */
export async function snapshot(machine: Machine): Promise<string[]> {
  const skip = PASSING.map((path) => `-path '${path}'`).join(' -o ')
  const listed = await machine.read(
    `set -eo pipefail
     find /etc /var /usr/local \\( ${skip} \\) -prune -o -printf '%p %y %U:%G %m %l\\n' | sort
     find /etc /var /usr/local \\( ${skip} \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum`,
  )
  return listed.split('\n')
}
