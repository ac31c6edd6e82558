import { formatBytes } from '../../report/table.ts'
import { type Html, html } from '../html.ts'
import type { Owner } from '../view/packages.ts'
import { section } from './section.ts'
import { table } from './table.ts'

const kindNotes = {
  package: '',
  artifact: 'upstream tarball',
  container: 'container image',
  definition: '',
  nobody: '',
} as const

/** The owners of the image's files. The page's script adds the search and the sorting. */
export function packagesSection(owners: readonly Owner[]): Html {
  const rows = owners.map((owner) => [
    { content: nameOf(owner), value: owner.name },
    { content: versionOf(owner), value: owner.version ?? '' },
    { content: html`<span class="licence">${licencesOf(owner)}</span>`, value: owner.licence ?? '' },
    { content: owner.files, value: owner.files },
    {
      content: owner.size === undefined ? '' : formatBytes(owner.size),
      value: owner.size ?? 0,
    },
  ])
  const columns = [
    { title: 'package', sort: 'text' },
    { title: 'version', sort: 'text' },
    { title: 'licence', sort: 'text' },
    { title: 'files', number: true, sort: 'number' },
    { title: 'size', number: true, sort: 'number' },
  ] as const
  return section(
    'packages',
    html`<div id="search" hidden></div>
${table('packages', 'Packages, upstream tarballs and the definition, with their files', columns, rows)}`,
  )
}

function nameOf({ name, kind, source }: Owner): Html {
  const notes = [kindNotes[kind], source === undefined || source === name ? '' : `from ${source}`].filter(
    (note) => note !== '',
  )
  const shown = kind === 'definition' || kind === 'nobody' ? name : html`<code>${name}</code>`
  return notes.length === 0 ? html`${shown}` : html`${shown} <span class="quiet">${notes.join(', ')}</span>`
}

function versionOf({ version, change }: Owner): Html {
  const note =
    change === undefined
      ? ''
      : html` <span class="change">${change === 'new' ? 'new' : `was ${change}`}</span>`
  return html`${version}${note}`
}

/** An SPDX expression for people: `A, B` instead of `A AND B`, unless it has a choice within. */
function licencesOf({ kind, licence }: Owner): string {
  if (licence === undefined) return kind === 'definition' || kind === 'nobody' ? '' : 'unknown'
  const short = licence.replaceAll('LicenseRef-debian-', 'debian-')
  return short.includes('(') ? short : short.replaceAll(' AND ', ', ')
}
