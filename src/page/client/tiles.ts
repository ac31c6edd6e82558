import { hierarchy, treemap } from 'd3-hierarchy'
import { groupSmall, type TreeEntry } from './tree.ts'

/** A rectangle, in pixels of the map. */
export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** One entry of the folder that the map shows. */
export interface Tile extends Box {
  readonly entry: TreeEntry
  /** The largest entries in it. */
  readonly inner: readonly InnerTile[]
}

/** An entry of an entry, which cannot be selected. Its coordinates are those of the map. */
export interface InnerTile extends Box {
  readonly entry: TreeEntry
}

/** Square pixels: the smallest tile that can be pointed at, and the smallest that is visible inside another. */
const LEAST_TILE = 2_400
const LEAST_INNER = 90
/** The height of a tile's label. */
const LABEL = 22
const GAP = 2

interface Node {
  readonly entry: TreeEntry
  readonly weight: number
  readonly children: readonly Node[]
}

/** The tiles of a folder in a map of this size, largest first. */
export function tilesOf(shown: TreeEntry, width: number, height: number): Tile[] {
  if (shown.size === 0 || width <= 0 || height <= 0) return []
  const perPixel = shown.size / (width * height)
  const least = LEAST_TILE * perPixel
  // The rest gets the least area as well, so that it can be pointed at.
  const leaf = (entry: TreeEntry, weight = entry.size): Node => ({ entry, weight, children: [] })
  const branch = (entry: TreeEntry): Node => {
    const inner = entry.size < least ? [] : groupSmall(entry, LEAST_INNER * perPixel)
    if (inner.length === 0) return leaf(entry, Math.max(entry.size, least))
    return { entry, weight: 0, children: inner.map((child) => leaf(child)) }
  }
  const root: Node = { entry: shown, weight: 0, children: groupSmall(shown, least).map(branch) }
  const tree = hierarchy(root).sum(({ weight }) => weight)
  const layOut = treemap<Node>()
    .size([width, height])
    .round(true)
    .paddingInner(GAP)
    .paddingTop(({ depth, height: below }) => (depth === 1 && below > 0 ? LABEL : 0))
  const laidOut = layOut(tree)
  return (laidOut.children ?? []).map((node) => ({
    ...boxOf(node),
    entry: node.data.entry,
    inner: (node.children ?? []).map((inner) => ({ ...boxOf(inner), entry: inner.data.entry })),
  }))
}

function boxOf({ x0, y0, x1, y1 }: { x0: number; y0: number; x1: number; y1: number }): Box {
  return { x: x0, y: y0, width: x1 - x0, height: y1 - y0 }
}

const DIRECTIONS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

/** The index of the tile that a key leads to from the tile with index `from`; undefined when there is none. */
export function tileAt(tiles: readonly Box[], from: number, key: string): number | undefined {
  if (key === 'Home') return 0
  if (key === 'End') return tiles.length - 1
  const [direction, start] = [DIRECTIONS[key], tiles[from]]
  if (direction === undefined || start === undefined) return undefined
  const centre = ({ x, y, width, height }: Box) => [x + width / 2, y + height / 2] as const
  const [x, y] = centre(start)
  let best: { index: number; cost: number } | undefined
  for (const [index, tile] of tiles.entries()) {
    const [otherX, otherY] = centre(tile)
    const along = (otherX - x) * direction[0] + (otherY - y) * direction[1]
    const aside = Math.abs((otherX - x) * direction[1]) + Math.abs((otherY - y) * direction[0])
    // A tile straight ahead is preferred to a nearer one aside.
    if (index === from || along <= 0) continue
    const cost = along + 2 * aside
    if (best === undefined || cost < best.cost) best = { index, cost }
  }
  return best?.index
}
