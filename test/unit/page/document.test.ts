import { createHash } from 'node:crypto'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { pageOf } from '../../../src/page/page.ts'
import { renderPage } from '../../../src/page/render/document.ts'
import { HOSTILE, someFacts } from '../../support/page/facts.ts'

const assets = { script: 'void 0', style: 'p{}' }
const render = (other: Parameters<typeof someFacts>[0] = {}) => renderPage(pageOf(someFacts(other)), assets)

describe('a page', () => {
  it('is the same whenever and wherever it is written', () => {
    onTestFinished(() => {
      vi.useRealTimers()
    })
    vi.useFakeTimers({ now: 0 })
    const then = render()
    vi.setSystemTime(new Date('2027-03-01T12:00:00Z'))
    expect(render() === then).toBe(true)
  })

  it('allows its own style and script, and nothing else', () => {
    const hash = (text: string) => createHash('sha256').update(text).digest('base64')
    expect(render()).toContain(
      `<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-${hash('p{}')}&#39;; script-src &#39;sha256-${hash('void 0')}&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;">`,
    )
  })

  it('escapes every text of an image: names of files, packages, checks, units, and changelogs', () => {
    const page = render()
    // In the name of a folder, of a check, and so on.
    expect(page.split('onerror').length).toBeGreaterThan(8)
    expect(page).not.toContain('<img')
    expect(page.match(/<\/script>/g)).toHaveLength(2)
    expect(page).not.toContain(HOSTILE)
  })

  it('has no style attributes, no handlers and nothing to load', () => {
    const elements = render().replace(/<script.*?<\/script>|<style.*?<\/style>/gs, '')
    // Values of attributes may be the image's texts: only the names count.
    const names =
      elements
        .replace(/="[^"]*"/g, '=')
        .match(/<[^>]*>/g)
        ?.join('') ?? ''
    expect(new Set(names.match(/[\w-]+(?==)/g))).not.toEqual(new Set())
    expect(names.match(/ (style|src|srcset|on\w+)=/g)).toBeNull()
    const links = [...elements.matchAll(/ href="([^"]*)"/g)].map(([, href = '']) => href)
    expect(links.length).toBeGreaterThan(8)
    expect(links.filter((href) => !href.startsWith('#') && !/^[\w.-]+$/.test(href))).toEqual([])
  })

  it('refuses a script that would end its own element', () => {
    expect(() => renderPage(pageOf(someFacts()), { ...assets, script: '"</script>"' })).toThrow('end its own')
  })

  it('names each part that is missing', () => {
    const { finished } = someFacts()
    const page = render({
      finished: { manifest: finished.manifest },
      findings: [],
      hasSignature: false,
      comparison: undefined,
      bill: [],
      sums: new Map(),
    })
    for (const words of [
      'Not tested',
      'Not signed',
      'Not compared',
      'No test of this disk has measured its boot',
      'The build has no list of its files',
      'There is no provenance',
    ]) {
      expect(page).toContain(words)
    }
  })

  it('links only web addresses', () => {
    const { finished } = someFacts()
    const provenance = (repository: string, invocationId: string) =>
      ({
        predicate: {
          buildDefinition: { externalParameters: { repository }, resolvedDependencies: [] },
          runDetails: {
            builder: { id: 'someone', version: {} },
            metadata: { invocationId, startedOn: '2026-11-28T12:00:00Z', finishedOn: '2026-11-28T12:01:00Z' },
          },
        },
      }) as unknown as NonNullable<typeof finished.provenance>
    const page = (repository: string, run: string) =>
      render({ finished: { ...finished, provenance: provenance(repository, run) } })
    expect(page('https://github.com/acme/images', 'https://ci.example/1')).toContain(
      `href="https://github.com/acme/images/commit/${'1'.repeat(40)}"`,
    )
    expect(page('javascript:alert(1)//', 'data:text/html,x')).not.toMatch(/href="(javascript|data):/)
  })
})
