import { describe, expect, it } from 'vitest'
import { tileAt, tilesOf } from '../../../../src/page/client/tiles.ts'
import { byFolder } from '../../../../src/page/client/tree.ts'
import { sizesOf } from '../../../../src/page/view/sizes.ts'
import { someImage } from '../../../support/page/facts.ts'

const root = byFolder(sizesOf(someImage('1-1').inventory?.files ?? [], undefined).packed)

describe('the tiles', () => {
  it.each([
    [1000, 480],
    [328, 384],
  ])('of %i by %i pixels fill the map, do not overlap, and can be pointed at', (width, height) => {
    const tiles = tilesOf(root, width, height)
    expect(tiles.length).toBeGreaterThan(1)
    expect(tiles.reduce((sum, { entry }) => sum + entry.size, 0)).toBe(root.size)
    for (const [index, tile] of tiles.entries()) {
      // The size of a target that WCAG 2.2 requires, 24 pixels each way.
      expect(tile.width * tile.height).toBeGreaterThan(24 * 24)
      expect(
        [tile.x, tile.y, width - tile.x - tile.width, height - tile.y - tile.height].every((gap) => gap >= 0),
      ).toBe(true)
      for (const other of tiles.slice(index + 1)) {
        const apart =
          tile.x + tile.width <= other.x ||
          other.x + other.width <= tile.x ||
          tile.y + tile.height <= other.y ||
          other.y + other.height <= tile.y
        expect(apart, `${tile.entry.path} and ${other.entry.path}`).toBe(true)
      }
    }
    const area = tiles.reduce((sum, tile) => sum + tile.width * tile.height, 0)
    expect(area / (width * height)).toBeGreaterThan(0.95)
  })

  it('of an empty folder, or in no space, are an empty list', () => {
    expect(tilesOf(byFolder({ owners: [], root: ['', []] }), 100, 100)).toEqual([])
    expect(tilesOf(root, 0, 480)).toEqual([])
  })
})

describe('a key', () => {
  const box = (x: number, y: number) => ({ x, y, width: 10, height: 10 })
  // 0 1
  // 2 3
  const square = [box(0, 0), box(10, 0), box(0, 10), box(10, 10)]

  it.each([
    [0, 'ArrowRight', 1],
    [0, 'ArrowDown', 2],
    [3, 'ArrowLeft', 2],
    [3, 'ArrowUp', 1],
    [0, 'ArrowLeft', undefined],
    [2, 'Home', 0],
    [0, 'End', 3],
    [0, 'Enter', undefined],
  ])('from tile %i, %s leads to %s', (from, key, to) => {
    expect(tileAt(square, from, key)).toBe(to)
  })
})
