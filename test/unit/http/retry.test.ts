import { describe, expect, it, vi } from 'vitest'
import { backoff, isTransientStatus, retry } from '../../../src/http/retry.ts'

const { signal } = new AbortController()

/** An attempt that fails this number of times, and then returns its number. */
function failing(times: number) {
  return vi.fn(async (number: number) => {
    if (number <= times) throw new Error(`failure ${number}`)
    return number
  })
}

describe('retry', () => {
  it('repeats until an attempt succeeds, and reports each failure with its wait', async () => {
    const failures: string[] = []
    const onFailure = (error: unknown, ms: number | undefined) => failures.push(`${error} ${ms}`)
    expect(await retry(failing(2), { wait: backoff(3, 1), signal, onFailure })).toBe(3)
    expect(failures).toEqual(['Error: failure 1 1', 'Error: failure 2 2'])
  })

  it('throws the last error when the attempts are used up, or the wait gives up', async () => {
    const attempt = failing(9)
    await expect(retry(attempt, { wait: backoff(3, 0), signal })).rejects.toThrow('failure 3')
    expect(attempt).toHaveBeenCalledTimes(3)
    await expect(retry(failing(9), { wait: () => undefined, signal })).rejects.toThrow('failure 1')
  })

  it('counts from the beginning after an attempt that got further', async () => {
    let attempts = 0
    const attempt = async () => {
      attempts++
      throw new Error('broken off')
    }
    const hasProgressed = () => attempts === 2
    await expect(retry(attempt, { wait: backoff(3, 0), signal, hasProgressed })).rejects.toThrow()
    expect(attempts).toBe(5)
  })

  it('ends with the reason of the signal, during an attempt and during a wait', async () => {
    const stop = new AbortController()
    const attempt = async () => {
      stop.abort('stopped')
      throw new Error('failure')
    }
    const wait = vi.fn(() => 0)
    await expect(retry(attempt, { wait, signal: stop.signal })).rejects.toBe('stopped')
    expect(wait).not.toHaveBeenCalled()
    const later = new AbortController()
    const onFailure = () => setTimeout(() => later.abort('stopped later'), 5)
    const options = { wait: () => 60_000, signal: later.signal, onFailure }
    await expect(retry(failing(1), options)).rejects.toBe('stopped later')
  })
})

it('the usual wait doubles, is nothing after progress, and ends', () => {
  expect([0, 1, 2, 3, 4].map(backoff(4, 500))).toEqual([0, 500, 1000, 2000, undefined])
})

it('a status may be transient', () => {
  expect([400, 403, 404, 408, 422, 429, 500, 503].filter(isTransientStatus)).toEqual([408, 429, 500, 503])
})
