import type { RecordedCheck } from '../../release/format/test-report.ts'
import { formatDuration } from '../../report/table.ts'
import { type Html, html } from '../html.ts'
import type { Mark } from '../view/mark.ts'
import type { BootTest } from '../view/proof.ts'
import { sign } from './mark.ts'
import { prose, section } from './section.ts'
import { table } from './table.ts'

/** What was checked of clones of the image, and what was seen. */
export function bootTestSection({ answer, groups, measured }: BootTest): Html {
  return section(
    'proof',
    prose(`${answer.words}. ${answer.because}`),
    groups.map(({ title, checks }) => html`<h3>${title}</h3>\n${checkTable(title, checks)}\n`),
    measured.length === 0
      ? undefined
      : html`<h3>Measured as well</h3><dl class="facts">${measured.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`,
  )
}

const MARKS: Readonly<Record<RecordedCheck['status'], Mark>> = {
  passed: 'right',
  failed: 'wrong',
  skipped: 'open',
}

function checkTable(title: string, checks: readonly RecordedCheck[]): Html {
  return table(
    'checks',
    `Checks: ${title}`,
    [{ title: 'check' }, { title: 'result' }, { title: 'what was seen' }, { title: 'time', number: true }],
    checks.map(({ name, title: claim, status, detail, ms }) => [
      { content: html`${claim} <code class="quiet">${name}</code>` },
      { content: html`${sign(MARKS[status], '')} ${status}` },
      { content: detail },
      { content: ms === undefined ? '' : formatDuration(ms) },
    ]),
  )
}
