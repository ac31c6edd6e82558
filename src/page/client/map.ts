import type { PackedSizes } from '../packed.ts'
import { element, statusLine } from './element.ts'
import { levelTable } from './level-table.ts'
import { drawTile } from './tile.ts'
import { type Tile, tileAt, tilesOf } from './tiles.ts'
import { byFolder, byOwner, pathToVariety, type TreeEntry } from './tree.ts'
import { describeChange, describeOwner, formatBytes, formatShare } from './words.ts'

/**
 * Draws the map of an image's bytes into `place`, with the choice of grouping, the trail of open folders, the description of
 * the active tile, and the same content as a table.
 * @param showOwner shows a package in the list of packages
 */
export function drawMap(place: HTMLElement, sizes: PackedSizes, showOwner: (name: string) => void): void {
  const roots: Readonly<Record<string, TreeEntry>> = { folder: byFolder(sizes), owner: byOwner(sizes) }
  // From the root to the folder that is shown.
  let trail: TreeEntry[] = []
  let tiles: Tile[] = []
  let active = 0

  const path = element('ol', { class: 'trail' })
  const map = element('ul', { class: 'map', role: 'list' })
  const about = element('p', { class: 'about' })
  const status = statusLine('said')
  const table = element('div', {})
  place.append(
    modes((mode) => start(mode)),
    element('nav', { 'aria-label': 'Where the map is' }, path),
    map,
    about,
    element(
      'p',
      { class: 'quiet keys' },
      'In the map, arrow keys go from tile to tile, Enter opens a folder, Escape goes back up.',
    ),
    status,
    element('details', {}, element('summary', {}, 'The same as a table'), table),
  )

  function start(mode: string): void {
    const root = roots[mode]
    if (root) show(pathToVariety(root))
  }

  /** Shows the last folder of `path`; the tile of `from` becomes the active one. */
  function show(entries: TreeEntry[], from?: TreeEntry): void {
    trail = entries
    const entry = shown()
    path.replaceChildren(...entries.map(crumb))
    table.replaceChildren(levelTable(entry, open))
    status.textContent = `${entry.path}: ${formatBytes(entry.size)}, ${entry.entries?.length ?? 0} entries`
    active = 0
    draw(from)
  }

  function draw(from?: TreeEntry): void {
    const entry = shown()
    tiles = tilesOf(entry, map.clientWidth, map.clientHeight)
    const index = tiles.findIndex((tile) => tile.entry.path === from?.path && tile.entry.name === from.name)
    active = Math.max(0, index >= 0 ? index : Math.min(active, tiles.length - 1))
    map.setAttribute('aria-label', `What is in ${entry.path || entry.name}, the largest first`)
    map.replaceChildren(
      ...tiles.map((tile, index) => {
        const button = drawTile(tile, entry.size)
        button.tabIndex = index === active ? 0 : -1
        button.addEventListener('click', () => open(tile.entry))
        button.addEventListener('focus', () => activate(index))
        button.addEventListener('pointerenter', () => describe(tile.entry))
        return element('li', {}, button)
      }),
    )
    const tile = tiles[active]
    if (tile) describe(tile.entry)
  }

  function shown(): TreeEntry {
    const entry = trail.at(-1)
    if (entry === undefined) throw new Error('the map shows nothing')
    return entry
  }

  function crumb(step: TreeEntry, index: number): HTMLElement {
    if (index === trail.length - 1) {
      return element('li', {}, element('span', { 'aria-current': 'location' }, step.name))
    }
    const button = element('button', { type: 'button' }, step.name)
    button.addEventListener('click', () => {
      show(trail.slice(0, index + 1), trail[index + 1])
      focusTile(active)
    })
    return element('li', {}, button)
  }

  function open(entry: TreeEntry): void {
    if (entry.entries === undefined) {
      describe(entry)
      about.querySelector('button')?.focus()
      return
    }
    show([...trail, entry])
    focusTile(0)
  }

  function up(): void {
    if (trail.length < 2) return
    show(trail.slice(0, -1), trail.at(-1))
    focusTile(active)
  }

  function activate(index: number): void {
    for (const [position, button] of map.querySelectorAll('button').entries())
      button.tabIndex = position === index ? 0 : -1
    active = index
    const tile = tiles[index]
    if (tile) describe(tile.entry)
  }

  function focusTile(index: number): void {
    map.querySelectorAll('button')[index]?.focus({ preventScroll: true })
  }

  /** Shows the description of an entry below the map. */
  function describe(entry: TreeEntry): void {
    const facts = [
      `${formatBytes(entry.size)}, ${formatShare(entry.size, roots.folder?.size ?? 0)} of all files`,
      describeChange(entry),
      entry.entries === undefined ? describeOwner(entry.owner) : '',
    ].filter((fact) => fact !== '')
    about.replaceChildren(
      element('code', {}, entry.entries === undefined || entry.owner === undefined ? entry.path : entry.name),
      ` ${facts.join(' · ')} `,
    )
    const name = /^package:(.*)$/s.exec(entry.owner ?? '')?.[1]
    if (name === undefined) return
    const button = element('button', { type: 'button' }, `show ${name} in the list`)
    button.addEventListener('click', () => showOwner(name))
    about.append(button)
  }

  map.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return
    const next = tileAt(tiles, active, event.key)
    if (next !== undefined) focusTile(next)
    else if (event.key === 'Escape' || event.key === 'Backspace') up()
    else return
    event.preventDefault()
  })
  start('folder')
  let width = map.clientWidth
  new ResizeObserver(() => {
    if (map.clientWidth === width) return
    width = map.clientWidth
    const hadFocus = map.contains(document.activeElement)
    draw(tiles[active]?.entry)
    if (hadFocus) focusTile(active)
  }).observe(map)
}

/** The ways to group the files, as radio buttons. */
function modes(chosen: (mode: string) => void): HTMLElement {
  const choice = (value: string, words: string, checked: boolean) => {
    const input = element('input', { type: 'radio', name: 'map-mode', value })
    input.checked = checked
    input.addEventListener('change', () => chosen(value))
    return element('label', {}, input, ` ${words}`)
  }
  return element(
    'fieldset',
    { class: 'modes' },
    element('legend', {}, 'Files by'),
    choice('folder', 'folder', true),
    choice('owner', 'package', false),
  )
}
