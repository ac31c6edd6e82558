import { type Html, html } from '../html.ts'
import type { Mark } from '../view/mark.ts'

const labels = {
  right: 'checked, right',
  wrong: 'wrong',
  missing: 'missing',
  open: 'not checked',
  differs: 'different',
} as const

/** A sign that differs in form as well as colour. A screen reader reads `label`; it is empty where the text beside it says it. */
export function sign(mark: Mark, label: string = labels[mark]): Html {
  const shape = {
    right: html`<circle cx="8" cy="8" r="8"/><path d="M4.2 8.4l2.7 2.7 5-5.6"/>`,
    wrong: html`<path class="sign-field" d="M8 0l8 8-8 8-8-8z"/><path d="M5.2 5.2l5.6 5.6m0-5.6l-5.6 5.6"/>`,
    missing: html`<path class="sign-warning" d="M8 .8L15.6 15H.4z"/><path d="M8 5.6v4.6m0 1.3v1.6"/>`,
    open: html`<circle class="sign-ring" cx="8" cy="8" r="7"/><path class="sign-dash" d="M4.8 8h6.4"/>`,
    differs: html`<circle class="sign-ring" cx="8" cy="8" r="7"/><path class="sign-dash" d="M8 3.6v5M5.5 6.1h5M5.5 11.4h5"/>`,
  }[mark]
  const said = label === '' ? '' : html`<span class="said">${label}</span>`
  return html`<span class="sign ${mark}"><svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">${shape}</svg>${said}</span>`
}
