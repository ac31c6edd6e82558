import { type Html, html } from '../html.ts'
import type { Page } from '../page.ts'
import { sign } from './mark.ts'
import { prose, SECTIONS } from './section.ts'

/** The section with the details of an answer. */
const sectionOf: Readonly<Record<string, (typeof SECTIONS)[number][0]>> = {
  Tested: 'boot-test',
  Signed: 'trust',
  Intact: 'trust',
  Changed: 'changes',
}

/** The first screen: the image, and the answers. */
export function overview({ image, version, description, line, answers, identity }: Page): Html {
  const rows = answers.map(({ question, mark, text, reason }) => {
    const target = sectionOf[question] ?? 'trust'
    const heading = SECTIONS.find(([id]) => id === target)?.[1]
    return html`<div class="answer ${mark}">
<dt>${question}</dt>
<dd><p class="verdict">${sign(mark, '')}<strong>${text}</strong></p>${prose(reason)}
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
