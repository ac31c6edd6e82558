import { element } from './element.ts'
import type { Box, Tile } from './tiles.ts'
import type { Entry } from './tree.ts'
import { changeWords, formatBytes, share } from './words.ts'

/** A tile has to be this large, in pixels, for a label and for a second line in it. */
const LABEL = { width: 44, height: 20 }
const SECOND_LINE = 44

/**
 * The button of a tile, of a folder with `total` bytes. What is in it is only drawn: it is opened to be looked at. Its text
 * is all there for who listens; of it is shown what there is room for.
 */
export function drawTile(tile: Tile, total: number): HTMLButtonElement {
  const { entry, height, inner } = tile
  const button = element('button', { type: 'button', class: classesOf('tile', entry) })
  place(button, tile)
  // The border of the button is not part of what its content is placed in.
  for (const one of inner) {
    const label = fits(one) ? { 'data-name': one.entry.name } : {}
    const drawn = element('span', { class: classesOf('inner', one.entry), ...label })
    place(drawn, { ...one, x: one.x - tile.x - 1, y: one.y - tile.y - 1 })
    button.append(drawn)
  }
  const hasRoom = fits(tile)
  const showsSize = hasRoom && inner.length < 2 && height >= SECOND_LINE
  const size = formatBytes(entry.size)
  const rest = [share(entry.size, total), changeWords(entry)].filter((words) => words !== '')
  button.append(
    element('span', { class: hasRoom ? 'name' : 'said' }, entry.name),
    element('span', { class: 'said' }, entry.kind === 'file' ? ', file, ' : ', '),
    element('span', { class: showsSize ? 'size' : 'said' }, size),
    element('span', { class: 'said' }, `, ${rest.join(', ')}`),
  )
  return button
}

function fits({ width, height }: Box): boolean {
  return width >= LABEL.width && height >= LABEL.height
}

function classesOf(name: string, { kind, changes }: Entry): string {
  return `${name} ${kind}${changes > 0 ? ' touched' : ''}`
}

// The page's policy forbids style attributes, and not what a script sets.
function place({ style }: HTMLElement, { x, y, width, height }: Box): void {
  style.left = `${x}px`
  style.top = `${y}px`
  style.width = `${width}px`
  style.height = `${height}px`
}
