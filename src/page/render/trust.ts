import { type Html, html } from '../html.ts'
import type { Link, Origin } from '../view/trust.ts'
import { sign } from './mark.ts'
import { prose, section } from './section.ts'
import { table } from './table.ts'

/** The chain from the source to the signature, with the findings. */
export function trustSection({ chain, findings }: Origin): Html {
  const rows = findings.map(({ what, result, found }) => [
    { content: what },
    { content: html`${sign(result === 'not checked' ? 'open' : result, '')} ${result}` },
    { content: found },
  ])
  const columns = [{ title: 'what' }, { title: 'result' }, { title: 'found' }]
  return section(
    'trust',
    prose(
      'As verified when this page was written, from the files of the build alone. Do not trust the page itself: run `seeder verify` again.',
    ),
    html`<ol class="chain">
${chain.map(linkItem)}</ol>`,
    findings.length === 0
      ? undefined
      : html`<details><summary>All ${findings.length} findings</summary>
${table('findings', 'All findings', columns, rows)}
</details>`,
  )
}

function linkItem({ name, mark, value, url, text }: Link): Html {
  const shown = value === undefined ? '' : html`<code>${value}</code>`
  const linked = url !== undefined && isWebAddress(url) ? html`<a href="${url}">${shown}</a>` : shown
  return html`<li>${sign(mark)} <strong>${name}</strong> ${linked} <span class="text">${text}</span></li>
`
}

/** Only a web address becomes a link: a file of the build may contain any text. */
function isWebAddress(url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}
