import { type Html, html } from '../html.ts'
import type { FoundChanges, NameList, PackageChange, VersionChanges } from '../view/changes.ts'
import { prose, section } from './section.ts'
import { table } from './table.ts'

/** The changes since the version that it was compared with. */
export function changesSection({ answer, found }: VersionChanges): Html {
  return section('changes', prose(`${answer.text}. ${answer.reason}`), found && comparison(found))
}

function comparison({ before, after, amounts, packages, lists, commandLine, files }: FoundChanges): Html {
  const numbers = table(
    'amounts',
    'Sizes and numbers in both versions',
    [
      { title: 'what' },
      { title: before, number: true },
      { title: after, number: true },
      { title: 'change', number: true },
    ],
    amounts.map((amount) => [
      { content: amount.name.startsWith('/') ? html`<code>${amount.name}</code>` : amount.name },
      { content: amount.before },
      { content: amount.after },
      { content: amount.change ?? 'the same' },
    ]),
  )
  return html`${numbers}
<h3>Packages</h3>
${packages.length === 0 ? prose('The packages are the same.') : packageTable(before, after, packages)}
${lists.map(({ title, names }) => html`<h3>${title}</h3><ul class="names">${names.map((name) => html`<li><code>${name}</code></li>`)}</ul>`)}
${
  commandLine &&
  html`<h3>Kernel command line</h3><dl class="facts"><div><dt>before</dt><dd><code>${commandLine.before}</code></dd></div><div><dt>now</dt><dd><code>${commandLine.after}</code></dd></div></dl>`
}
<h3>Files</h3>
${fileLists(files)}`
}

function packageTable(before: string, after: string, packages: readonly PackageChange[]): Html {
  return table(
    'package-changes',
    'Changed, new and removed packages',
    [{ title: 'package' }, { title: before }, { title: after }, { title: 'changelog' }],
    packages.map(({ name, before: from, after: to, changelog }) => [
      { content: html`<code>${name}</code>` },
      { content: from ?? html`<em>new</em>` },
      { content: to ?? html`<em>removed</em>` },
      {
        content:
          changelog === undefined
            ? html`<span class="quiet">no changelog</span>`
            : html`<details><summary>Changelog<span class="said"> of ${name}</span></summary><pre tabindex="0">${changelog}</pre></details>`,
      },
    ]),
  )
}

function fileLists(files: readonly NameList[] | undefined): Html {
  if (files === undefined) return prose('Not compared: one of the two has no list of its files.')
  if (files.length === 0) return prose('The files are the same.')
  const lists = files.map(({ title, names, total }) => {
    const rest = total - names.length
    const more =
      rest === 0 ? '' : prose(`And ${rest} more: \`seeder diff --json\` names all of them.`, 'quiet')
    return html`<details><summary>${title}: ${total}</summary><ul class="names">${names.map((name) => html`<li><code>${name}</code></li>\n`)}</ul>${more}</details>
`
  })
  return html`${lists}`
}
