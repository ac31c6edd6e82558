/**
 * Aborts on Ctrl-C, SIGTERM or a closed terminal. Long steps take this signal and end their children, `finally` blocks
 * clean up, and the entry exits.
 */
const controller = new AbortController()

export const interruption: AbortSignal = controller.signal

/** For an entry to call once. A second Ctrl-C ends the process at once: the kernel kills its children then. */
export function listenForInterruption(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      controller.abort(signal)
      process.once(signal, () => process.exit(130))
    })
  }
}
