import { formatBytes } from '../../report/table.ts'
import { type Html, html } from '../html.ts'
import type { Sizes } from '../view/sizes.ts'
import { prose, section } from './section.ts'
import { table } from './table.ts'

/** The place of the map that the page's script draws, and a table for a browser without scripts. */
export function sizesSection(sizes: Sizes | undefined): Html {
  if (sizes === undefined) return section('sizes', prose('The build has no list of its files.'))
  const { total, folders } = sizes
  const rows = folders.map(({ path, size, files }) => [
    { content: html`<code>${path}</code>` },
    { content: files },
    { content: formatBytes(size) },
    { content: formatShare(size, total) },
  ])
  const columns = [
    { title: 'folder' },
    { title: 'files', number: true },
    { title: 'size', number: true },
    { title: 'share', number: true },
  ]
  return section(
    'sizes',
    prose(
      `${formatBytes(total)} in files, before \`/usr\` is compressed. Files with several names count once for each.`,
    ),
    html`<div id="treemap" hidden></div>
<div id="folders">
${table('folders', 'The largest folders', columns, rows)}
</div>`,
  )
}

/** A part of a whole, as `12.3 %`. */
function formatShare(size: number, total: number): string {
  return `${((size / total) * 100).toFixed(1)} %`
}
