/** Makes an element. Text is set as text: nothing in it is ever markup. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...content: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...content)
  return made
}

/** A line that is read out whenever it changes. */
export function statusLine(className: string): HTMLElement {
  return element('p', { class: className, role: 'status' })
}
