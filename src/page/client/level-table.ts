import { element } from './element.ts'
import type { Entry } from './tree.ts'
import { changeWords, formatBytes, ownerWords, share } from './words.ts'

/** So many entries are listed: the largest ones. */
const LISTED = 200

/** What the map shows, as a table; `open` is called for a folder that somebody wants to look into. */
export function levelTable(shown: Entry, open: (entry: Entry) => void): HTMLElement {
  const { entries = [], size } = shown
  const rows = entries.slice(0, LISTED).map((entry) => {
    const cell = (text: string, className = '') =>
      element('td', className === '' ? {} : { class: className }, text)
    return element(
      'tr',
      {},
      element('th', { scope: 'row' }, nameOf(entry, open)),
      cell(formatBytes(entry.size), 'number'),
      cell(share(entry.size, size), 'number'),
      cell([entry.entries ? '' : ownerWords(entry.owner), changeWords(entry)].filter(Boolean).join(', ')),
    )
  })
  const heads = ['name', 'size', 'share', 'owner, change'].map((title, at) =>
    element('th', { scope: 'col', ...(at === 1 || at === 2 ? { class: 'number' } : {}) }, title),
  )
  const rest = entries.length - rows.length
  return element(
    'div',
    {},
    element(
      'table',
      { class: 'level' },
      element('caption', { class: 'said' }, `What is in ${shown.path || shown.name}`),
      element('thead', {}, element('tr', {}, ...heads)),
      element('tbody', {}, ...rows),
    ),
    ...(rest > 0 ? [element('p', { class: 'quiet' }, `And ${rest} smaller ones.`)] : []),
  )
}

function nameOf(entry: Entry, open: (entry: Entry) => void): HTMLElement {
  if (entry.entries === undefined) return element('code', {}, entry.name)
  const button = element('button', { type: 'button' }, entry.name)
  button.addEventListener('click', () => open(entry))
  return button
}
