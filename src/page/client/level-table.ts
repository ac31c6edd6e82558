import { element } from './element.ts'
import type { TreeEntry } from './tree.ts'
import { describeChange, describeOwner, formatBytes, formatShare } from './words.ts'

/** The maximum number of entries: the largest ones. */
const LISTED = 200

/** The content of the map as a table; `open` is called for the folder whose button is pressed. */
export function levelTable(shown: TreeEntry, open: (entry: TreeEntry) => void): HTMLElement {
  const { entries = [], size } = shown
  const rows = entries.slice(0, LISTED).map((entry) => {
    const cell = (text: string, className = '') =>
      element('td', className === '' ? {} : { class: className }, text)
    return element(
      'tr',
      {},
      element('th', { scope: 'row' }, nameOf(entry, open)),
      cell(formatBytes(entry.size), 'number'),
      cell(formatShare(entry.size, size), 'number'),
      cell(
        [entry.entries ? '' : describeOwner(entry.owner), describeChange(entry)].filter(Boolean).join(', '),
      ),
    )
  })
  const heads = ['name', 'size', 'share', 'owner, change'].map((title, index) =>
    element('th', { scope: 'col', ...(index === 1 || index === 2 ? { class: 'number' } : {}) }, title),
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

function nameOf(entry: TreeEntry, open: (entry: TreeEntry) => void): HTMLElement {
  if (entry.entries === undefined) return element('code', {}, entry.name)
  const button = element('button', { type: 'button' }, entry.name)
  button.addEventListener('click', () => open(entry))
  return button
}
