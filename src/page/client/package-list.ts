import { element, statusLine } from './element.ts'

/**
 * Adds a search and sorting to the table of packages.
 * @returns a function that searches for a text
 */
export function enhancePackages(table: HTMLTableElement, place: HTMLElement): (text: string) => void {
  const body = table.tBodies[0]
  const rows = [...(body?.rows ?? [])]
  const texts = rows.map((row) => row.textContent.toLowerCase())
  const input = element('input', {
    type: 'search',
    id: 'package-search',
    autocomplete: 'off',
    spellcheck: 'false',
  })
  const status = statusLine('count')
  place.append(
    element(
      'search',
      {},
      element('label', { for: 'package-search' }, 'Search by name, source, version or licence'),
      input,
      status,
    ),
  )
  place.hidden = false

  function filter(): void {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean)
    let found = 0
    for (const [index, row] of rows.entries()) {
      const matches = words.every((word) => texts[index]?.includes(word))
      row.hidden = !matches
      if (matches) found++
    }
    status.textContent = words.length === 0 ? `${rows.length} in all` : `${found} of ${rows.length}`
  }

  input.addEventListener('input', filter)
  filter()
  for (const [column, head] of [...(table.tHead?.rows[0]?.cells ?? [])].entries()) {
    if (head.dataset.sort !== undefined) makeSortable(head, column)
  }

  function makeSortable(head: HTMLTableCellElement, column: number): void {
    const byNumber = head.dataset.sort === 'number'
    const button = element('button', { type: 'button' }, head.textContent)
    head.replaceChildren(button)
    button.addEventListener('click', () => {
      // A reader looks for the largest numbers first.
      const first = byNumber ? 'descending' : 'ascending'
      const other = byNumber ? 'ascending' : 'descending'
      const order = head.getAttribute('aria-sort') === first ? other : first
      for (const cell of head.parentElement?.children ?? []) cell.removeAttribute('aria-sort')
      head.setAttribute('aria-sort', order)
      body?.append(...sorted(rows, column, byNumber, order === 'descending'))
    })
  }

  return (text) => {
    input.value = text
    filter()
    input.focus()
    place.scrollIntoView({ block: 'start' })
  }
}

function sorted(
  rows: readonly HTMLTableRowElement[],
  column: number,
  byNumber: boolean,
  descending: boolean,
): HTMLTableRowElement[] {
  const value = (row: HTMLTableRowElement) => row.cells[column]?.dataset.value ?? ''
  const compare = (a: string, b: string) => (byNumber ? Number(a) - Number(b) : a < b ? -1 : a > b ? 1 : 0)
  return [...rows].sort((a, b) => (descending ? -1 : 1) * compare(value(a), value(b)))
}
