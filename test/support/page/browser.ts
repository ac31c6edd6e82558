import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** Debian's. */
const PROGRAM = '/usr/bin/chromium'

/** Starts a browser that sends no requests of its own. */
export async function startBrowser(): Promise<Browser> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing\n  → run scripts/setup.sh --tests`)
  return chromium.launch({
    executablePath: PROGRAM,
    args: [
      // The tests run as root as well, and in containers.
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
