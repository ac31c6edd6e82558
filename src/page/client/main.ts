import type { PackedSizes } from '../packed.ts'
import { drawMap } from './map.ts'
import { enhancePackages } from './package-list.ts'

/** What a page can do beyond being read. Without it everything is there as text and tables. */
const packages = document.querySelector<HTMLTableElement>('table.packages')
const search = document.querySelector<HTMLElement>('#search')
const showPackages = packages && search ? enhancePackages(packages, search) : () => {}

const [map, folders] = ['#treemap', '#folders'].map((id) => document.querySelector<HTMLElement>(id))
const packed = document.querySelector('#packed-sizes')?.textContent ?? ''
if (map && folders && packed !== '') {
  map.hidden = false
  folders.hidden = true
  drawMap(map, JSON.parse(packed) as PackedSizes, showPackages)
}

// On paper nothing can be opened.
const opened: HTMLDetailsElement[] = []
addEventListener('beforeprint', () => {
  for (const one of document.querySelectorAll<HTMLDetailsElement>('details:not([open])')) {
    one.open = true
    opened.push(one)
  }
})
addEventListener('afterprint', () => {
  for (const one of opened.splice(0)) one.open = false
})
