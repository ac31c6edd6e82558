import { element } from './element.ts'
import type { Box, Tile } from './tiles.ts'
import type { TreeEntry } from './tree.ts'
import { describeChange, formatBytes, formatShare } from './words.ts'

/** The smallest tile that has room for a label, and the height that has room for a second line; pixels. */
const LABEL = { width: 44, height: 20 }
const SECOND_LINE = 44

/**
 * The button of a tile in a folder of `total` bytes. Its inner tiles are a picture only. A screen reader gets the whole text;
 * the screen shows as much of it as there is room for.
 */
export function drawTile(tile: Tile, total: number): HTMLButtonElement {
  const { entry, height, inner } = tile
  const button = element('button', { type: 'button', class: classesOf('tile', entry) })
  place(button, tile)
  // Content is placed inside the button's border of one pixel.
  for (const innerTile of inner) {
    const label = fits(innerTile) ? { 'data-name': innerTile.entry.name } : {}
    const drawn = element('span', { class: classesOf('inner', innerTile.entry), ...label })
    place(drawn, { ...innerTile, x: innerTile.x - tile.x - 1, y: innerTile.y - tile.y - 1 })
    button.append(drawn)
  }
  const hasRoom = fits(tile)
  const showsSize = hasRoom && inner.length < 2 && height >= SECOND_LINE
  const size = formatBytes(entry.size)
  const rest = [formatShare(entry.size, total), describeChange(entry)].filter((words) => words !== '')
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

function classesOf(name: string, { kind, changes }: TreeEntry): string {
  return `${name} ${kind}${changes > 0 ? ' touched' : ''}`
}

// The page's policy forbids style attributes, but not properties that a script sets.
function place({ style }: HTMLElement, { x, y, width, height }: Box): void {
  style.left = `${x}px`
  style.top = `${y}px`
  style.width = `${width}px`
  style.height = `${height}px`
}
