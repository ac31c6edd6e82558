import { appendFile, cp, mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Manifest } from '../src/build/manifest.ts'
import { formatTable } from '../src/report/table.ts'

/** Pairs of builds. Runs drift, so that one alone says little. */
const PAIRS = 5

/** A checkout with a cache of its own: layers of two versions of the program must not meet. */
interface Side {
  readonly checkout: string
  readonly project: string
  readonly cache: string
  readonly out: string
}

/**
 * Builds haproxy by turns with this checkout and with another one, cold and after an edit of a configuration file, and prints
 * the medians of the ratios of their wall times, and whether the disks are the same. `folder` is an empty one.
 */
export async function benchAgainst(
  own: string,
  other: string,
  folder: string,
  log: (line: string) => void,
): Promise<void> {
  const sides = [await prepare(own, join(folder, 'own')), await prepare(other, join(folder, 'other'))]
  log('a first build of each, so that the packages are in the store')
  for (const side of sides) await build(side, [])
  const ratios: Record<'cold' | 'edit', number[]> = { cold: [], edit: [] }
  const disks = new Set<string>()
  for (let pair = 1; pair <= PAIRS; pair++) {
    // By turns, so that neither is always the second.
    const order = pair % 2 === 0 ? sides : [...sides].reverse()
    const seconds = new Map<Side, { cold: number; edit: number }>()
    for (const side of order) {
      const cold = await build(side, ['--no-cache'])
      disks.add(cold.manifest.raw.sha256)
      await appendFile(join(side.project, 'images/haproxy/tree/etc/haproxy/haproxy.cfg'), `# edit ${pair}\n`)
      const edit = await build(side, [])
      await cp(join(side.checkout, 'images/haproxy/tree'), join(side.project, 'images/haproxy/tree'), {
        recursive: true,
      })
      seconds.set(side, { cold: cold.seconds, edit: edit.seconds })
    }
    const [first, second] = sides.map((side) => seconds.get(side))
    if (first === undefined || second === undefined) continue
    ratios.cold.push(first.cold / second.cold)
    ratios.edit.push(first.edit / second.edit)
    log(
      `pair ${pair}: cold ${first.cold.toFixed(1)} and ${second.cold.toFixed(1)} s, edit ${first.edit.toFixed(1)} and ${second.edit.toFixed(1)} s`,
    )
  }
  const rows = Object.entries(ratios).map(([name, values]) => [
    name,
    median(values).toFixed(3),
    Math.min(...values).toFixed(3),
    Math.max(...values).toFixed(3),
  ])
  console.log(formatTable(['this checkout to the other', 'median', 'lowest', 'highest'], rows))
  console.log(
    disks.size === 1 ? `the same disk: ${[...disks][0]}` : `different disks: ${[...disks].join(', ')}`,
  )
}

async function prepare(checkout: string, folder: string): Promise<Side> {
  const side = {
    checkout,
    project: join(folder, 'project'),
    cache: join(folder, 'cache'),
    out: join(folder, 'out'),
  }
  for (const name of ['images', 'platform.yaml']) {
    await cp(join(checkout, name), join(side.project, name), { recursive: true })
  }
  await mkdir(join(side.cache, 'seeder'), { recursive: true })
  const store = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'seeder/store')
  await execa('cp', ['-a', store, join(side.cache, 'seeder')], { reject: false })
  return side
}

async function build(
  { checkout, project, cache, out }: Side,
  more: readonly string[],
): Promise<{ seconds: number; manifest: Manifest }> {
  const started = Date.now()
  const argv = ['--quiet', '--project', project, 'build', 'haproxy', '--out', out, '--json', ...more]
  const { stdout } = await execa(join(checkout, 'scripts', 'seeder'), argv, {
    env: { XDG_CACHE_HOME: cache },
  })
  return { seconds: (Date.now() - started) / 1000, manifest: JSON.parse(stdout) as Manifest }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
