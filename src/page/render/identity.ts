import { type Html, html } from '../html.ts'
import type { Document, Fact } from '../page.ts'
import { prose, section } from './section.ts'
import { table } from './table.ts'

/** Digests, sizes, ports and the command line. */
export function identitySection(facts: readonly Fact[]): Html {
  return section(
    'identity',
    html`<dl class="facts">
${facts.map(({ name, value, exact }) => html`<div><dt>${name}</dt><dd>${exact ? html`<code>${value}</code>` : value}</dd></div>\n`)}</dl>`,
  )
}

/** The files of the build. */
export function documentsSection(documents: readonly Document[]): Html {
  const rows = documents.map(({ name, what, sha256, url }) => [
    {
      content:
        url === undefined ? html`<code>${name}</code>` : html`<a href="${url}"><code>${name}</code></a>`,
    },
    { content: what },
    {
      content:
        sha256 === undefined
          ? html`<span class="quiet">not listed by SHA256SUMS</span>`
          : html`<code>${sha256}</code>`,
    },
  ])
  const columns = [{ title: 'file' }, { title: 'what' }, { title: 'sha256' }]
  return section(
    'documents',
    prose(
      'The links work while this page is in the folder of the build. `sha256sum --check SHA256SUMS` checks all files.',
    ),
    table('documents', 'The files of the build', columns, rows),
  )
}
