import { type Content, type Html, html } from '../html.ts'

/** A column of a table. */
export interface Column {
  readonly title: string
  /** Numbers stand to the right. */
  readonly number?: boolean
  /** Whether the page's script may sort by it, and as what. */
  readonly sort?: 'text' | 'number'
}

/** A cell: what it shows and, for sorting, what it is. */
export interface Cell {
  readonly content: Content
  readonly value?: string | number
}

/**
 * A table. On a narrow screen its rows become blocks, so it says with roles what it is: a browser forgets that otherwise.
 * @param caption what it is about, for who does not see where it stands
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
    (cells) => html`<tr role="row">${cells.map((cell, at) => cellOf(cell, columns[at], at === 0))}</tr>\n`,
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
