/** Numbers that are the same for the same seed (mulberry32), and choices made with them. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, and without, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 up to, and without, `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end)
  }

  pick<T>(from: readonly T[]): T {
    const found = from[this.below(from.length)]
    if (found === undefined) throw new Error('nothing to pick from')
    return found
  }
}

/** How many mutations each parser gets. */
export const ROUNDS = Number(process.env.SEEDER_MUTATIONS || 200)

/** The seed of a run: the same one gives the same mutations. SEEDER_MUTATION_SEED sets another one. */
export const SEED = Number(process.env.SEEDER_MUTATION_SEED || 20261130)

/** The seed of one mutation. */
export function seedOf(round: number): number {
  return (SEED + Math.imul(round, 0x9e3779b1)) >>> 0
}
