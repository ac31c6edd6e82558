import { type Content, type Html, html } from '../html.ts'

/** The sections of a page, in their order: fragment and heading. */
export const SECTIONS = [
  ['changes', 'What changed'],
  ['boot-test', 'Boot test'],
  ['boot', 'First boot'],
  ['trust', 'Chain of trust'],
  ['identity', 'Identity'],
  ['sizes', 'Size'],
  ['packages', 'Packages'],
  ['documents', 'Documents'],
] as const

type SectionId = (typeof SECTIONS)[number][0]

/** A section with its heading, which names its landmark. */
export function section(id: SectionId, ...content: readonly Content[]): Html {
  const index = SECTIONS.findIndex(([other]) => other === id)
  return html`<section id="${id}" aria-labelledby="${id}-heading">
<h2 id="${id}-heading"><span class="ordinal" aria-hidden="true">${index + 1}</span> ${SECTIONS[index]?.[1]}</h2>
<div class="body">
${content}
</div>
</section>
`
}

/** A paragraph; text in backticks becomes code. */
export function prose(text: string, className?: string): Html {
  const parts = text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part))
  return className === undefined ? html`<p>${parts}</p>` : html`<p class="${className}">${parts}</p>`
}
