import { setTimeout as delay } from 'node:timers/promises'
import pMap from 'p-map'
import { isDiskFull } from '../../build/fetch.ts'
import type { Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { Cutter, packBytes } from './bytes.ts'
import type { Holder, Placement } from './holders.ts'
import { runsOf, type Span } from './layout.ts'

/** So many pieces of packs come at once. */
const CONNECTIONS = 4
/** So many attempts in a row may end without one more file. */
const ATTEMPTS = 5
/** Milliseconds before the second of them; each further one waits twice as long. */
const PAUSE_MS = 500
/** So often a file may come with another digest. */
const MOST_WRONG = 2

/** What is done with the files of a pack as they come. */
export interface Receiver {
  /** Takes a file's bytes: its digest, as they came. */
  take(span: Span, bytes: AsyncIterable<Buffer>): Promise<string>
  note(text: string): void
  readonly signal: AbortSignal
}

/** Files of one pack that come with one request. */
interface Run {
  readonly holder: Holder
  readonly spans: readonly Span[]
}

/**
 * Brings files out of the packs that have them, with as few requests as makes sense, and only their bytes where the server
 * knows Range. What broke off is begun again with the first file that is not there.
 * Throws SeederError when a file does not come, or comes wrong twice; the signal's reason.
 */
export async function fetchMembers(
  releases: Releases,
  { holders }: Pick<Placement, 'holders'>,
  receiver: Receiver,
): Promise<void> {
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, receiver.signal])
  const failures: unknown[] = []
  await pMap(
    runsIn(holders),
    (run) =>
      // The first failure ends the others, and they are waited for: nobody writes into a folder that is removed.
      fetchRun(releases, run, { ...receiver, signal }).catch((error: unknown) => {
        failures.push(error)
        stop.abort()
      }),
    { concurrency: CONNECTIONS },
  )
  receiver.signal.throwIfAborted()
  if (failures.length > 0) throw failures[0]
}

function runsIn(holders: Placement['holders']): Run[] {
  const wanted = new Map<Holder, Set<string>>()
  for (const [sha256, holder] of holders) {
    wanted.set(holder, (wanted.get(holder) ?? new Set()).add(sha256))
  }
  return [...wanted].flatMap(([holder, digests]) =>
    runsOf(holder.pack, digests).map((spans) => ({ holder, spans })),
  )
}

async function fetchRun(releases: Releases, { holder, spans }: Run, receiver: Receiver): Promise<void> {
  const left = [...spans]
  const wrong = new Map<string, number>()
  for (let fruitless = 0; left.length > 0; ) {
    const before = left.length
    let failure: unknown
    try {
      const found = await receive(releases, holder, left, receiver)
      if (found !== undefined) judge(holder, left[0], found, wrong, receiver)
    } catch (error) {
      receiver.signal.throwIfAborted()
      // What GitHub has refused it will refuse again, and a full disk is full.
      if (error instanceof SeederError || isDiskFull(error)) throw error
      failure = error
    }
    fruitless = left.length < before ? 0 : fruitless + 1
    if (fruitless === ATTEMPTS) throw unreachable(holder, left.length, failure)
    if (left.length > 0) {
      const pause = fruitless === 0 ? 0 : PAUSE_MS * 2 ** (fruitless - 1)
      await delay(pause, undefined, { signal: receiver.signal })
    }
  }
}

/** One connection, as far as it goes: what was right is no longer in `left`. A wrong digest ends it, and is returned. */
async function receive(
  releases: Releases,
  holder: Holder,
  left: Span[],
  { take, signal }: Receiver,
): Promise<string | undefined> {
  const [first, last] = [left[0], left.at(-1)]
  if (!first || !last) return undefined
  const cutter = new Cutter(packBytes(releases, holder, first.start, last.start + last.size))
  try {
    let at = first.start
    for (let span = left[0]; span !== undefined; span = left[0]) {
      await cutter.skip(span.start - at)
      const found = await take(span, stoppable(cutter.next(span.size), signal))
      if (found !== span.sha256) return found
      at = span.start + span.size
      left.shift()
    }
    return undefined
  } finally {
    await cutter.close()
  }
}

async function* stoppable(bytes: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    signal.throwIfAborted()
    yield chunk
  }
}

/** A digest that is wrong once may be a connection that lies; twice, it is the pack. */
function judge(
  { release, pack }: Holder,
  span: Span | undefined,
  found: string,
  wrong: Map<string, number>,
  { note }: Receiver,
): void {
  if (!span) return
  const times = (wrong.get(span.sha256) ?? 0) + 1
  wrong.set(span.sha256, times)
  const what = `the file ${span.sha256} in ${pack.name} of ${release.tag} came with the sha256 ${found}`
  if (times < MOST_WRONG) {
    note(`${what}: it is downloaded again`)
    return
  }
  throw new SeederError(`${what}, ${times} times`, {
    fix: 'do not use that pack: somebody changed it, or something between here and GitHub changes files',
  })
}

function unreachable({ release, pack }: Holder, files: number, cause: unknown): SeederError {
  const why = cause instanceof Error ? cause.message || String(cause) : String(cause)
  return new SeederError(`${files} files of ${pack.name} of ${release.tag} could not be downloaded: ${why}`, {
    fix: 'see whether the network is well, and run it again: what came is kept',
    cause,
  })
}
