import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { OtherUser } from './other-user.ts'
import { checkout } from './seeder.ts'

/** How a build is run away from this checkout. */
export interface Elsewhere {
  /** A folder of the other user's: the program is seen in `program` below it, HOME is the folder itself. */
  readonly there: string
  /** XDG_CACHE_HOME. */
  readonly cache: string
  readonly project: string
  readonly umask: string
  readonly env: Readonly<Record<string, string>>
}

/**
 * Runs the checkout's program with `argv` as another user, who may not be able to read the checkout where it is; as
 * this one where there is no other. Rejects when it does not end with 0.
 */
export async function runElsewhere(
  other: OtherUser | undefined,
  { there, cache, project, umask, env }: Elsewhere,
  argv: readonly string[],
): Promise<void> {
  const program = join(there, 'program')
  await mkdir(program, { recursive: true })
  const words = [
    join(program, 'node_modules/node/bin/node'),
    join(program, 'src/cli.ts'),
    '-C',
    project,
    ...argv,
  ]
  const variables = { XDG_CACHE_HOME: cache, ...env }
  if (other === undefined) {
    const [first = '', ...rest] = words.map((word) => word.replace(program, checkout))
    await execa(first, rest, { env: variables })
    return
  }
  const mounted = `mount --bind "$1" "$2"; cd "$3"; umask ${umask}; shift 3; exec "$@"`
  const isRoot = process.getuid?.() === 0
  const [first = '', ...rest] = [
    ...(isRoot ? [] : other.prefix),
    'unshare',
    '--mount',
    '--',
    'sh',
    '-euc',
    mounted,
    '-',
    checkout,
    program,
    there,
    ...(isRoot ? other.prefix : []),
    'env',
    '-i',
    ...Object.entries({ PATH: '/usr/bin:/bin', HOME: there, ...variables }).map((pair) => pair.join('=')),
    ...words,
  ]
  await execa(first, rest, { env: variables })
}
