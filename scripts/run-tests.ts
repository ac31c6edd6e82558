/**
 * Runs the checks and tests one after the other, the fast ones first, goes on after a failure, and closes with the
 * line `N passed, N failed`: each check counts as one, each vitest test as one. Exit status 1 if anything failed.
 *
 *   node scripts/run-tests.ts [--fast]
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { formatDuration } from '../src/report/table.ts'
import { findShellScripts } from './shell-scripts.ts'
import {
  addTallies,
  closingLine,
  type Details,
  detailsOf,
  FAILED,
  PASSED,
  type Tally,
  tallyVitest,
} from './tally.ts'

/** One line of the run: what is shown, and how it is run and counted. */
interface Step {
  readonly title: string
  run(): Promise<Tally>
}

const CHECKOUT = path.resolve(import.meta.dirname, '..')
const USAGE = 'usage: scripts/test.sh [--fast]'
const SLOWEST = 20

/** Of each vitest run that has ended. */
const details: Details[] = []

function steps(shellScripts: readonly string[], fast: boolean): Step[] {
  const all = [
    check('types', 'tsc', ['--noEmit']),
    check('types of the page’s script', 'tsc', ['--noEmit', '-p', 'src/page/client']),
    check('lint and format', 'biome', ['check', '.']),
    check('arrows between the rooms of src', 'depcruise', ['src', '--config', '.dependency-cruiser.mjs']),
    check('shell scripts', 'shellcheck', ['--external-sources', '--source-path=SCRIPTDIR', ...shellScripts]),
    check('format of shell scripts', 'shfmt', ['-d', ...shellScripts]),
    check('rules of the house', 'node', ['scripts/house.ts', '--check']),
    check('dist is up to date', 'node', ['scripts/bundle.ts', '--check']),
    vitest('unit tests', 'unit'),
    // Minutes, when there are none in the cache.
    check('Kubernetes and etcd for the tests', 'node', ['scripts/programs.ts']),
  ]
  const system = vitest('system tests', 'system')
  if (fast) return [...all, system]
  return [
    ...all,
    // Both wait for some of their time.
    beside(vitest('killed and run again', 'killed', true), system),
    // Each of them alone uses only two thirds of the processors' time.
    beside(
      vitest('builds, and single machines', 'light', true),
      vitest('boot tests of several machines', 'e2e'),
    ),
  ]
}

/** Runs two steps in parallel. The output of the first is printed when it has ended. */
function beside(quiet: Step, shown: Step): Step {
  return {
    title: `${shown.title}, and beside it: ${quiet.title}`,
    run: async () => addTallies(await Promise.all([quiet.run(), shown.run()])),
  }
}

function check(title: string, command: string, args: readonly string[]): Step {
  return { title, run: async () => ((await status(command, args)) === 0 ? PASSED : FAILED) }
}

function vitest(title: string, project: string, keptBack = false): Step {
  return {
    title,
    run: async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'seeder-tests-'))
      try {
        const report = path.join(folder, 'report.json')
        const exitCode = await status(
          'vitest',
          [
            'run',
            '--project',
            project,
            '--reporter=default',
            '--reporter=json',
            `--outputFile.json=${report}`,
          ],
          keptBack,
        )
        const text = await readFile(report, 'utf8').catch(() => undefined)
        details.push(detailsOf(text, CHECKOUT))
        return tallyVitest(text, exitCode)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}

async function status(command: string, args: readonly string[], keptBack = false): Promise<number> {
  const result = await execa(command, args, {
    cwd: CHECKOUT,
    preferLocal: true,
    stdin: 'ignore',
    ...(keptBack ? { all: true } : { stdout: 'inherit', stderr: 'inherit' }),
    reject: false,
  })
  if (keptBack) console.log(result.all)
  if (result.exitCode === undefined) console.error(result.shortMessage ?? `${command} did not finish`)
  return result.exitCode ?? 1
}

async function main(argv: readonly string[]): Promise<number> {
  const fast = argv[0] === '--fast'
  if (argv.length > (fast ? 1 : 0)) {
    console.error(USAGE)
    return 2
  }
  const tallies: Tally[] = []
  for (const step of steps(await findShellScripts(CHECKOUT), fast)) {
    console.log(`\n── ${step.title}`)
    const start = performance.now()
    const tally = await step.run()
    tallies.push(tally)
    const took = formatDuration(performance.now() - start)
    console.log(`${tally.failed === 0 ? 'ok' : 'FAILED'}  ${step.title}  ${took}`)
  }
  const total = addTallies(tallies)
  printDetails()
  console.log(`\n${closingLine(total)}`)
  return total.failed === 0 ? 0 : 1
}

/** The slowest tests, and then, where it is found first, what failed. */
function printDetails(): void {
  const times = details.flatMap((one) => one.times).sort((a, b) => b.ms - a.ms)
  const failures = details.flatMap((one) => one.failures)
  if (times.length > 0) {
    console.log(`\nThe slowest tests:`)
    for (const { test, ms } of times.slice(0, SLOWEST))
      console.log(`${formatDuration(ms).padStart(14)}  ${test}`)
  }
  if (failures.length > 0) console.log(`\nFailed:\n${failures.map((line) => `  ${line}`).join('\n')}`)
}

process.exitCode = await main(process.argv.slice(2))
