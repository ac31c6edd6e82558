import { describe, expect, it } from 'vitest'
import { html, jsonText } from '../../../src/page/html.ts'
import { HOSTILE } from '../../support/page/facts.ts'

describe('a template', () => {
  it('escapes values between tags and in attributes', () => {
    expect(html`<a title="${HOSTILE}">${HOSTILE}</a>`.text).toBe(
      '<a title="&lt;/script&gt;&lt;img src=x onerror=&quot;document.title=1&quot;&gt;&#39;&amp;">' +
        '&lt;/script&gt;&lt;img src=x onerror=&quot;document.title=1&quot;&gt;&#39;&amp;</a>',
    )
  })

  it('inserts HTML as it is, the items of a list, and nothing for undefined', () => {
    const items = ['a', '<'].map((item) => html`<li>${item}</li>`)
    expect(html`<ul>${items}${undefined}${7}</ul>`.text).toBe('<ul><li>a</li><li>&lt;</li>7</ul>')
  })

  it('refuses an object that imitates HTML', () => {
    const forged = JSON.parse('{"text":"<script>"}')
    expect(() => html`${forged}`.text).toThrow()
  })
})

it('writes data that cannot end its script and reads back the same', () => {
  const data = { name: HOSTILE, more: '<!--<script>\u2028' }
  const text = jsonText(data)
  expect(text).not.toMatch(/[<>&\u2028]/)
  expect(JSON.parse(text)).toEqual(data)
})
