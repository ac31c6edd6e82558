import { visible, visibleJson } from '../report/printable.ts'

/** Text that is HTML. Only `html` makes it, so every value in it is escaped. */
export class Html {
  readonly text: string

  private constructor(text: string) {
    this.text = text
  }

  /** For `html` only. */
  static of(strings: TemplateStringsArray, values: readonly Content[]): Html {
    return new Html(strings.reduce((text, part, index) => text + render(values[index - 1]) + part))
  }
}

/** A value in a template: text is escaped, HTML is not, and undefined is left out. */
export type Content = Html | string | number | undefined | readonly Content[]

/** Makes HTML of a template. A value may stand between tags or in an attribute with double quotes, nowhere else. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  return Html.of(strings, values)
}

function render(value: Content): string {
  if (value === undefined) return ''
  if (value instanceof Html) return value.text
  if (typeof value === 'string' || typeof value === 'number') return escapeHtml(String(value))
  return value.map(render).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeHtml(text: string): string {
  return visible(text).replace(/[&<>"']/g, (mark) => ENTITIES[mark] ?? '')
}

/**
 * Data as text for a `<script type="application/json">`, without any character that could end the element: entities mean
 * nothing there.
 */
export function jsonText(value: unknown): string {
  return visibleJson(value, 0).replace(/[<>&]/g, (mark) => {
    return `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
