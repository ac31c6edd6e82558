import { describe, expect, it } from 'vitest'
import { html, jsonText } from '../../../src/page/html.ts'
import { HOSTILE } from '../../support/page/facts.ts'

describe('a template', () => {
  it('escapes what is put into it, between tags and in attributes', () => {
    expect(html`<a title="${HOSTILE}">${HOSTILE}</a>`.text).toBe(
      '<a title="&lt;/script&gt;&lt;img src=x onerror=&quot;document.title=1&quot;&gt;&#39;&amp;">' +
        '&lt;/script&gt;&lt;img src=x onerror=&quot;document.title=1&quot;&gt;&#39;&amp;</a>',
    )
  })

  it('takes HTML as it is, lists one after the other, and nothing for nothing', () => {
    const items = ['a', '<'].map((one) => html`<li>${one}</li>`)
    expect(html`<ul>${items}${undefined}${7}</ul>`.text).toBe('<ul><li>a</li><li>&lt;</li>7</ul>')
  })

  it('takes nothing for HTML that only looks like it', () => {
    const forged = JSON.parse('{"text":"<script>"}')
    expect(() => html`${forged}`.text).toThrow()
  })
})

it('data cannot end its script, and is read back as it was', () => {
  const data = { name: HOSTILE, more: '<!--<script>\u2028' }
  const text = jsonText(data)
  expect(text).not.toMatch(/[<>&\u2028]/)
  expect(JSON.parse(text)).toEqual(data)
})
