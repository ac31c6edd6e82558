import { type Html, html } from '../html.ts'
import type { Page } from '../page.ts'
import { sign } from './mark.ts'
import { prose, SECTIONS } from './section.ts'

/** Where the answer to a question is told in full. */
const DETAIL: Readonly<Record<string, (typeof SECTIONS)[number][0]>> = {
  Proven: 'proof',
  Signed: 'trust',
  Intact: 'trust',
  Changed: 'changes',
}

/** The first screen: what it is, and an answer to each question of whoever decides about it. */
export function overview({ image, version, description, line, answers, identity }: Page): Html {
  const rows = answers.map(({ question, mark, words, because }) => {
    const target = DETAIL[question] ?? 'trust'
    const heading = SECTIONS.find(([id]) => id === target)?.[1]
    return html`<div class="answer ${mark}">
<dt>${question}</dt>
<dd><p class="verdict">${sign(mark, '')}<strong>${words}</strong></p>${prose(because)}
<a href="#${target}">${heading}</a></dd>
</div>
`
  })
  return html`<header class="top">
<p class="kind">Image report</p>
<h1>${image} <span class="version">${version}</span></h1>
<p class="description">${description}</p>
<ul class="line">${line.map((fact) => html`<li>${fact}</li>`)}</ul>
<p class="digest"><span>disk sha256</span> <code>${identity[0]?.value}</code></p>
<dl class="answers">
${rows}</dl>
</header>
`
}

/** Links to the sections. */
export function contents(): Html {
  return html`<nav aria-label="Sections"><ol class="contents">${SECTIONS.map(
    ([id, heading]) => html`<li><a href="#${id}">${heading}</a></li>`,
  )}</ol></nav>
`
}
