/**
 * `npm run screenshots -- PAGE`: writes docs/report, the pictures of a page that docs/report.md shows. PAGE is one that
 * `seeder report` has written, of a real build beside an older version.
 */
import { mkdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import { startBrowser } from '../test/support/page/browser.ts'

const folder = join(import.meta.dirname, '..', 'docs', 'report')

interface Shot {
  readonly name: string
  readonly colorScheme: 'light' | 'dark'
  readonly viewport: { readonly width: number; readonly height: number }
  /** The section that is shown; the first screen otherwise. */
  readonly section?: string
  /** What is done before. */
  readonly prepare?: (page: Page) => Promise<unknown>
}

const desktop = { width: 1200, height: 800 }
const phone = { width: 360, height: 720 }

const shots: readonly Shot[] = [
  { name: 'desktop-light', colorScheme: 'light', viewport: desktop },
  { name: 'desktop-dark', colorScheme: 'dark', viewport: desktop, section: 'sizes' },
  { name: 'boot', colorScheme: 'light', viewport: { ...desktop, height: 640 }, section: 'boot' },
  { name: 'trust', colorScheme: 'light', viewport: { ...desktop, height: 560 }, section: 'trust' },
  { name: 'phone', colorScheme: 'light', viewport: phone },
  {
    name: 'phone-packages',
    colorScheme: 'dark',
    viewport: phone,
    section: 'packages',
    prepare: (page) => page.getByRole('searchbox').fill('openssl'),
  },
]

const [file, ...more] = process.argv.slice(2)
if (file === undefined || more.length > 0 || !(await stat(file).catch(() => undefined))?.isFile()) {
  console.error('Usage: npm run screenshots -- PAGE (that `seeder report DIR --against OLDER` has written)')
  process.exit(2)
}
await mkdir(folder, { recursive: true })
const browser = await startBrowser()
try {
  for (const { name, section, prepare, ...look } of shots) {
    const page = await browser.newPage({ ...look, reducedMotion: 'reduce' })
    await page.goto(pathToFileURL(resolve(file)).href)
    await prepare?.(page)
    if (section !== undefined) await page.locator(`#${section}`).evaluate((one) => one.scrollIntoView())
    // What has the focus would be framed.
    await page.evaluate('document.activeElement.blur()')
    await page.screenshot({ path: join(folder, `${name}.png`) })
    await page.close()
  }
} finally {
  await browser.close()
}
