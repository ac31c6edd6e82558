import type { RecordedCheck } from '../../release/format/test-report.ts'
import { formatDuration } from '../../report/table.ts'
import { type Html, html } from '../html.ts'
import type { BootTest } from '../view/boot-test.ts'
import type { Mark } from '../view/mark.ts'
import { sign } from './mark.ts'
import { prose, section } from './section.ts'
import { table } from './table.ts'

/** The checks of the boot test and their results. */
export function bootTestSection({ answer, groups, measured }: BootTest): Html {
  return section(
    'boot-test',
    prose(`${answer.text}. ${answer.reason}`),
    groups.map(({ title, checks }) => html`<h3>${title}</h3>\n${checkTable(title, checks)}\n`),
    measured.length === 0
      ? undefined
      : html`<h3>Measured as well</h3><dl class="facts">${measured.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`,
  )
}

const markOf: Readonly<Record<RecordedCheck['status'], Mark>> = {
  passed: 'right',
  failed: 'wrong',
  skipped: 'open',
}

function checkTable(title: string, checks: readonly RecordedCheck[]): Html {
  return table(
    'checks',
    `Checks: ${title}`,
    [{ title: 'check' }, { title: 'result' }, { title: 'observed' }, { title: 'time', number: true }],
    checks.map(({ name, title: description, status, detail, ms }) => [
      { content: html`${description} <code class="quiet">${name}</code>` },
      { content: html`${sign(markOf[status], '')} ${status}` },
      { content: detail },
      { content: ms === undefined ? '' : formatDuration(ms) },
    ]),
  )
}
