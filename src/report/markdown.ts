import { oneLine, visible } from './printable.ts'

/** Foreign text in Markdown: no markup, no HTML, no mention, on one line. */
export function plain(text: string): string {
  return visible(text.replace(/\s+/g, ' '))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/[\\`*_[\]|~]/g, (mark) => `\\${mark}`)
    .replaceAll('@', '@<!-- -->')
}

/** A digest, a version or the name of a file. */
export function code(text: string): string {
  return `\`${oneLine(text.replace(/[`\s|]/g, ' '))}\``
}

/** A table; the cells are Markdown. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}

/** A section that is collapsed at first. */
export function folded(title: string, body: string): string {
  return `<details>\n<summary>${title}</summary>\n\n${body}\n\n</details>`
}
