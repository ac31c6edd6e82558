import type { Ended } from '../seeder.ts'
import type { Mutation } from './bytes.ts'
import { complaints } from './complaints.ts'
import { Random, ROUNDS, SEED, seedOf } from './random.ts'

/** How a parser gets a spoiled file. */
export interface Parser {
  /** The file as it should be. */
  readonly content: Buffer
  /** Spoils it. */
  mutate(content: Buffer, random: Random): Mutation
  /** Gives a file to the program, and says how that ended. */
  feed(content: Buffer, round: number): Promise<Ended>
  /** A refusal names one of these. */
  readonly names: readonly string[]
  /** Its output goes to a machine's own console. */
  readonly onConsole?: boolean
}

/** What went wrong in some rounds, a text each: enough to do that round again. Empty when all is well. */
export async function failuresOf(parser: Parser, rounds: number = ROUNDS): Promise<string[]> {
  const failures: string[] = []
  let refused = 0
  for (let round = 0; round < rounds; round++) {
    const { what, content } = parser.mutate(parser.content, new Random(seedOf(round)))
    const ended = await parser.feed(content, round)
    if (ended.code !== 0) refused++
    const wrong = complaints(ended, parser.names, parser.onConsole)
    if (wrong.length > 0) failures.push(describe(round, what, wrong, ended))
  }
  // Mutations of which each is taken show nothing.
  if (refused * 8 < rounds) failures.push(`only ${refused} of ${rounds} mutations were refused`)
  return failures
}

function describe(round: number, what: string, wrong: readonly string[], ended: Ended): string {
  const shown = JSON.stringify({
    ...ended,
    stdout: ended.stdout.slice(-600),
    stderr: ended.stderr.slice(0, 1500),
  })
  return `round ${round} of SEEDER_MUTATION_SEED=${SEED} (${what.slice(0, 200)}): ${wrong.join('; ')}\n  ${shown}`
}

/** Maximum number of failures to show. */
export function first(failures: readonly string[]): string {
  return failures.slice(0, 8).join('\n')
}
