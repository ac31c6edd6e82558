import { type Html, html } from '../html.ts'
import type { Link, Origin } from '../view/trust.ts'
import { sign } from './mark.ts'
import { prose, section } from './section.ts'
import { table } from './table.ts'

/** From the source to the signature, with what was checked and what is only said. */
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
      'How it was found when this page was written, from the files of the build alone. The page itself proves nothing: `seeder verify` looks again.',
    ),
    html`<ol class="chain">
${chain.map(linkItem)}</ol>`,
    findings.length === 0
      ? undefined
      : html`<details><summary>All ${findings.length} findings</summary>
${table('findings', 'What was looked at', columns, rows)}
</details>`,
  )
}

function linkItem({ name, mark, value, url, text }: Link): Html {
  const shown = value === undefined ? '' : html`<code>${value}</code>`
  const linked = url !== undefined && isWebAddress(url) ? html`<a href="${url}">${shown}</a>` : shown
  return html`<li>${sign(mark)} <strong>${name}</strong> ${linked} <span class="text">${text}</span></li>
`
}

/** An address from a file of the build may be anything: only one of the web becomes a link. */
function isWebAddress(url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}
