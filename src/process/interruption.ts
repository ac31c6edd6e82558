/**
 * Aborts when the process is asked to stop (Ctrl-C, SIGTERM, a closed terminal). Long steps take this signal, end
 * their children, and let every `finally` on the way out clean up; the entry then exits.
 */
const controller = new AbortController()

export const interruption: AbortSignal = controller.signal

/** Called once by an entry. A second Ctrl-C ends the process at once: its children are killed by the kernel then. */
export function listenForInterruption(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      controller.abort(signal)
      process.once(signal, () => process.exit(130))
    })
  }
}
