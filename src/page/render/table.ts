import { type Content, type Html, html } from '../html.ts'

/** A column of a table. */
export interface Column {
  readonly title: string
  /** Aligned to the right. */
  readonly number?: boolean
  /** How the page's script sorts by it; not sortable without. */
  readonly sort?: 'text' | 'number'
}

/** A cell; `value` is for sorting. */
export interface Cell {
  readonly content: Content
  readonly value?: string | number
}

/**
 * A table. On a narrow screen its rows become blocks, and a browser then needs explicit roles to treat it as a table.
 * @param caption for a screen reader
 */
export function table(
  name: string,
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
): Html {
  const head = columns.map(
    ({ title, number, sort }) =>
      html`<th scope="col" role="columnheader"${number ? html` class="number"` : ''}${sort ? html` data-sort="${sort}"` : ''}>${title}</th>`,
  )
  const body = rows.map(
    (cells) =>
      html`<tr role="row">${cells.map((cell, index) => cellOf(cell, columns[index], index === 0))}</tr>\n`,
  )
  return html`<table class="${name}" role="table"><caption class="said">${caption}</caption>
<thead role="rowgroup"><tr role="row">${head}</tr></thead>
<tbody role="rowgroup">
${body}</tbody></table>`
}

function cellOf({ content, value }: Cell, column: Column | undefined, first: boolean): Html {
  const sorted = column?.sort !== undefined && value !== undefined ? html` data-value="${value}"` : ''
  const number = column?.number ? html` class="number"` : ''
  return first
    ? html`<th scope="row" role="rowheader"${number}${sorted}>${content}</th>`
    : html`<td role="cell"${number}${sorted}>${content}</td>`
}
