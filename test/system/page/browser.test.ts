import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { makePageAssets } from '../../../scripts/page-assets.ts'
import { pageOf } from '../../../src/page/page.ts'
import { renderPage } from '../../../src/page/render/document.ts'
import { testFolder } from '../../support/builds.ts'
import { startBrowser } from '../../support/page/browser.ts'
import { HOSTILE, someFacts } from '../../support/page/facts.ts'
import { checkout } from '../../support/seeder.ts'

/** Pages in a real browser, opened as files. */
const folder = await testFolder('page')
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const phone = { width: 360, height: 780 }
const desktop = { width: 1280, height: 900 }
let browser: Browser

beforeAll(async () => {
  const assets = await makePageAssets(checkout)
  const bare = { manifest: someFacts().finished.manifest }
  const nothing = { findings: [], hasSignature: false, comparison: undefined, bill: [], sums: new Map() }
  await writeFile(join(folder, 'full.html'), renderPage(pageOf(someFacts()), assets))
  await writeFile(
    join(folder, 'bare.html'),
    renderPage(pageOf(someFacts({ finished: bare, ...nothing })), assets),
  )
  browser = await startBrowser()
})
afterAll(async () => {
  await browser?.close()
  await rm(folder, { recursive: true, force: true })
})

interface Opened {
  readonly page: Page
  /** The messages on the browser's console, and all its requests. */
  readonly complaints: string[]
  readonly requests: string[]
}

async function open(name: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Opened> {
  const page = await browser.newPage({ viewport: desktop, reducedMotion: 'reduce', ...options })
  onTestFinished(() => page.close())
  const [complaints, requests]: [string[], string[]] = [[], []]
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('request', (request) => requests.push(request.url()))
  await page.goto(pathToFileURL(join(folder, name)).href)
  return { page, complaints, requests }
}

const map = (page: Page) => page.getByRole('list', { name: /^What is in / })
/** The words of the element that has the focus. */
const focused = (page: Page) => page.evaluate<string>('document.activeElement.textContent')

describe('a page', () => {
  it('requests only itself, runs nothing of the image, and causes no message on the console', async () => {
    const { page, complaints, requests } = await open('full.html')
    await map(page).getByRole('button').first().click()
    expect(complaints).toEqual([])
    expect(requests).toEqual([pathToFileURL(join(folder, 'full.html')).href])
    expect(await page.title()).toBe('haproxy 3.0.12-1: image report')
    expect(await page.locator('img').count()).toBe(0)
    expect(await page.getByText(HOSTILE).count()).toBeGreaterThan(3)
  })

  it('may not send a request, even by its own script', async () => {
    let requests = 0
    const server = createServer((_, response) => {
      requests++
      response.end()
    })
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const { page, complaints } = await open('full.html')
    await page.evaluate(`new Image().src = "${url}x.png"; fetch("${url}").catch(() => {})`)
    await expect.poll(() => complaints.join()).toMatch(/Content Security Policy.*Content Security Policy/s)
    expect(requests).toBe(0)
  })

  it.each(
    ['full.html', 'bare.html'].flatMap((name) =>
      (['light', 'dark'] as const).flatMap((colorScheme) =>
        [phone, desktop].map((viewport) => [name, colorScheme, viewport] as const),
      ),
    ),
  )(
    '%s in %s on %o has no violation that axe knows, and does not scroll sideways',
    async (name, colorScheme, viewport) => {
      const { page } = await open(name, { colorScheme, viewport })
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(viewport.width)
      // Folded content is checked as well.
      await page.evaluate('for (const details of document.querySelectorAll("details")) details.open = true')
      await page.evaluate(axe)
      const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
      const violations = await page.evaluate<
        { id: string; nodes: { html: string; failureSummary: string }[] }[]
      >(`axe.run({ runOnly: ${JSON.stringify(tags)} }).then(({ violations }) => violations)`)
      expect(
        violations.map(({ id, nodes }) => [id, nodes[0]?.failureSummary, nodes[0]?.html.slice(0, 200)]),
      ).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(viewport.width)
    },
    60_000,
  )

  it('can be read without a script', async () => {
    const { page, complaints } = await open('full.html', { javaScriptEnabled: false })
    await expect.poll(() => page.getByRole('table', { name: 'The largest folders' }).isVisible()).toBe(true)
    expect(await page.getByRole('row').count()).toBeGreaterThan(150)
    await page.getByText('Files changed').click()
    expect(
      await page
        .getByText(/part-1 \(content/)
        .first()
        .isVisible(),
    ).toBe(true)
    expect(complaints).toEqual([])
  })
})

describe('the first screen', () => {
  it.each([phone, desktop])('has the four answers, on %o', async (viewport) => {
    const { page } = await open('full.html', { viewport })
    for (const words of [
      'Passed: 2 of 3 checks',
      'Signed by release@acme.example',
      'All in order',
      'Packages: 1 changed',
    ]) {
      const box = await page.locator('.verdict', { hasText: words }).boundingBox()
      expect(box && box.y + box.height, words).toBeLessThan(viewport.height)
    }
  })

  it('begins with a link to the report', async () => {
    const { page } = await open('full.html')
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('Skip to the report')
    await page.keyboard.press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('main')
  })
})

describe('the map', () => {
  it('is walked through with the keyboard alone', async () => {
    const { page } = await open('full.html')
    await page.locator('input[name=map-mode]').first().focus()
    await page.keyboard.press('Tab')
    // The way back has its own buttons; where there is none, the map follows.
    while (!/, \d.* %/.test(await focused(page))) await page.keyboard.press('Tab')
    const first = await focused(page)
    expect(await map(page).getAttribute('aria-label')).toBe('What is in /usr, the largest first')

    await page.keyboard.press('ArrowRight')
    const second = await focused(page)
    expect(second).not.toBe(first)
    await page.keyboard.press('Enter')
    expect(await map(page).getAttribute('aria-label')).toContain(`What is in /usr/${second.split(',')[0]}`)
    expect(await page.getByRole('status').filter({ hasText: 'entries' }).textContent()).toMatch(
      /^\/usr\/.+, \d+ entries$/,
    )

    // Backspace and Escape go up, to the tile that one came from.
    await page.keyboard.press('Backspace')
    expect(await focused(page)).toBe(second)
    await page.keyboard.press('Escape')
    expect(await map(page).getAttribute('aria-label')).toBe('What is in /, the largest first')
    await page.keyboard.press('Escape')
    expect(await map(page).getAttribute('aria-label')).toBe('What is in /, the largest first')
  })

  it('shows the same as a table, which opens folders as well', async () => {
    const { page } = await open('full.html')
    await page.getByText('The same as a table').click()
    const table = page.locator('table.level')
    const names = await table.getByRole('rowheader').allTextContents()
    expect(names.length).toBeGreaterThan(1)
    await table.getByRole('button', { name: names[0] as string, exact: true }).click()
    expect(await map(page).getAttribute('aria-label')).toContain(`/usr/${names[0]}`)
    expect(await table.getByRole('rowheader').allTextContents()).not.toEqual(names)
  })

  it('by package shows owners, marks what changed, and leads to the list of packages', async () => {
    const { page } = await open('full.html')
    await page.getByRole('radio', { name: 'package' }).check()
    expect(await map(page).getAttribute('aria-label')).toBe('What is in all owners, the largest first')
    const haproxy = map(page).getByRole('button', {
      name: /^haproxy ?, .* 3 changed or new$/,
    })
    await haproxy.focus()
    await page.getByRole('button', { name: 'show haproxy in the list' }).click()
    expect(await page.getByRole('searchbox').inputValue()).toBe('haproxy')
  })

  it('is laid out again in another width, and keeps the focus', async () => {
    const { page } = await open('full.html')
    const right = () =>
      page.evaluate<number>(
        'Math.max(...[...document.querySelectorAll(".tile")].map((one) => one.getBoundingClientRect().right))',
      )
    await map(page).getByRole('button').nth(1).focus()
    const before = [await focused(page), await right()]
    await page.setViewportSize(phone)
    await expect.poll(right).toBeLessThan(360)
    expect(await focused(page)).toBe(before[0])
  })
})

describe('the packages', () => {
  it('are narrowed by a search that says how many it found', async () => {
    const { page } = await open('full.html')
    const rows = page.locator('table.packages tbody tr:visible')
    const all = await rows.count()
    await page.getByRole('searchbox').fill('openssl apache')
    expect(await rows.count()).toBe(1)
    expect(await rows.first().textContent()).toContain('libssl3t64')
    expect(await page.getByRole('status').filter({ hasText: 'of' }).textContent()).toBe(`1 of ${all}`)
    await page.getByRole('searchbox').fill('no such thing')
    expect(await rows.count()).toBe(0)
    await page.getByRole('searchbox').fill('')
    expect(await rows.count()).toBe(all)
  })

  it('are sorted by size, the largest first, and the other way round', async () => {
    const { page } = await open('full.html')
    const sizes = () =>
      page.evaluate<number[]>(
        '[...document.querySelectorAll("table.packages tbody tr")].map((row) => Number(row.cells[4].dataset.value))',
      )
    const ascending = (await sizes()).toSorted((a, b) => a - b)
    await page.getByRole('button', { name: 'size', exact: true }).click()
    expect(await sizes()).toEqual(ascending.toReversed())
    expect(await page.getByRole('columnheader', { name: 'size' }).getAttribute('aria-sort')).toBe(
      'descending',
    )
    await page.keyboard.press('Enter')
    expect(await sizes()).toEqual(ascending)
  })
})
