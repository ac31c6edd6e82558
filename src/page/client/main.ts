import type { PackedSizes } from '../packed.ts'
import { drawMap } from './map.ts'
import { enhancePackages } from './package-list.ts'

/** Adds the map and the search. Without this script the page has everything as text and tables. */
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

// A printed page shows the content of every details element.
const opened: HTMLDetailsElement[] = []
addEventListener('beforeprint', () => {
  for (const details of document.querySelectorAll<HTMLDetailsElement>('details:not([open])')) {
    details.open = true
    opened.push(details)
  }
})
addEventListener('afterprint', () => {
  for (const details of opened.splice(0)) details.open = false
})
