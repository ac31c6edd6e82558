import type { PackedSizes } from '../packed.ts'
import { element, statusLine } from './element.ts'
import { levelTable } from './level-table.ts'
import { drawTile } from './tile.ts'
import { type Tile, tileAt, tilesOf } from './tiles.ts'
import { byFolder, byOwner, type Entry, wayToVariety } from './tree.ts'
import { changeWords, formatBytes, ownerWords, share } from './words.ts'

/**
 * Draws the map of an image's bytes into `place`, with what goes with it: how the files are grouped, the way back, what a
 * tile is, and the same as a table.
 * @param showOwner what to do when somebody wants to see the owner of a file
 */
export function drawMap(place: HTMLElement, sizes: PackedSizes, showOwner: (name: string) => void): void {
  const roots: Readonly<Record<string, Entry>> = { folder: byFolder(sizes), owner: byOwner(sizes) }
  // From the root to what is shown.
  let trail: Entry[] = []
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
    if (root) show(wayToVariety(root))
  }

  /** Shows the last of `way`. The tile of `from` is the one that keys begin at. */
  function show(way: Entry[], from?: Entry): void {
    trail = way
    const entry = shown()
    path.replaceChildren(...way.map((step, at) => crumb(step, at)))
    table.replaceChildren(levelTable(entry, open))
    status.textContent = `${entry.path}: ${formatBytes(entry.size)}, ${entry.entries?.length ?? 0} entries`
    active = 0
    draw(from)
  }

  function draw(from?: Entry): void {
    const entry = shown()
    tiles = tilesOf(entry, map.clientWidth, map.clientHeight)
    const at = tiles.findIndex((tile) => tile.entry.path === from?.path && tile.entry.name === from.name)
    active = Math.max(0, at >= 0 ? at : Math.min(active, tiles.length - 1))
    map.setAttribute('aria-label', `What is in ${entry.path || entry.name}, the largest first`)
    map.replaceChildren(
      ...tiles.map((tile, index) => {
        const button = drawTile(tile, entry.size)
        button.tabIndex = index === active ? 0 : -1
        button.addEventListener('click', () => open(tile.entry))
        button.addEventListener('focus', () => activate(index))
        button.addEventListener('pointerenter', () => tell(tile.entry))
        return element('li', {}, button)
      }),
    )
    const tile = tiles[active]
    if (tile) tell(tile.entry)
  }

  function shown(): Entry {
    const entry = trail.at(-1)
    if (entry === undefined) throw new Error('the map shows nothing')
    return entry
  }

  function crumb(step: Entry, at: number): HTMLElement {
    if (at === trail.length - 1) {
      return element('li', {}, element('span', { 'aria-current': 'location' }, step.name))
    }
    const button = element('button', { type: 'button' }, step.name)
    button.addEventListener('click', () => {
      show(trail.slice(0, at + 1), trail[at + 1])
      focusTile(active)
    })
    return element('li', {}, button)
  }

  function open(entry: Entry): void {
    if (entry.entries === undefined) {
      tell(entry)
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
    for (const [at, button] of map.querySelectorAll('button').entries())
      button.tabIndex = at === index ? 0 : -1
    active = index
    const tile = tiles[index]
    if (tile) tell(tile.entry)
  }

  function focusTile(index: number): void {
    map.querySelectorAll('button')[index]?.focus({ preventScroll: true })
  }

  /** Says what a tile is, in full. */
  function tell(entry: Entry): void {
    const facts = [
      `${formatBytes(entry.size)}, ${share(entry.size, roots.folder?.size ?? 0)} of all files`,
      changeWords(entry),
      entry.entries === undefined ? ownerWords(entry.owner) : '',
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
