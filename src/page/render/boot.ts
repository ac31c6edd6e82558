import { formatDuration } from '../../report/table.ts'
import { type Html, html } from '../html.ts'
import type { BootCourse, Span } from '../view/boot.ts'
import { prose, section } from './section.ts'

const groupTitles: Readonly<Record<Span['kind'], string>> = {
  stage: 'Stages',
  unit: 'Units that took longest',
  ready: 'On the console',
}

/** The course of the first boot: a table whose last column is a time line. */
export function bootSection(boot: BootCourse | undefined): Html {
  if (boot === undefined) return section('boot', prose('No test of this disk has measured its boot.'))
  const emulated = boot.emulated
    ? 'The processor was emulated, which takes several times as long as KVM. '
    : ''
  return section(
    'boot',
    prose(
      `${emulated}Stages and units as the machine’s systemd counts them; “role is ready” by the clock of the machine that tested it.`,
    ),
    timeline(boot),
  )
}

function timeline({ spans, endMs, ticksMs }: BootCourse): Html {
  const percent = (ms: number) => ((ms / endMs) * 100).toFixed(2)
  const axis = ticksMs.map((ms) => {
    const anchor = ms === 0 ? 'start' : ms === endMs ? 'end' : 'middle'
    return html`<text x="${percent(ms)}%" y="11" text-anchor="${anchor}">${ms / 1000} s</text>`
  })
  const grid = ticksMs.map((ms) => html`<line x1="${percent(ms)}%" x2="${percent(ms)}%" y1="0" y2="100%"/>`)
  const bar = ({ kind, startMs, ms }: Span) =>
    kind === 'ready'
      ? html`<rect class="ready" x="${percent(startMs)}%" y="2" width="3" height="16"/>`
      : html`<rect class="${kind}" x="${percent(startMs)}%" y="4" width="${percent(ms)}%" height="12"/>`
  const kinds = [...new Set(spans.map(({ kind }) => kind))]
  const bodies = kinds.map(
    (kind) => html`<tbody role="rowgroup">
<tr role="row" class="group"><th scope="rowgroup" role="rowheader" colspan="4">${groupTitles[kind]}</th></tr>
${spans
  .filter((span) => span.kind === kind)
  .map(
    (
      span,
    ) => html`<tr role="row"><th scope="row" role="rowheader">${span.name}</th><td role="cell" class="number">${formatDuration(span.startMs)}</td><td role="cell" class="number">${span.kind === 'ready' ? '' : formatDuration(span.ms)}</td><td role="cell" class="chart"><svg width="100%" height="20" aria-hidden="true">${grid}${bar(span)}</svg></td></tr>
`,
  )}</tbody>
`,
  )
  return html`<table class="boot" role="table"><caption class="said">When each part of the first boot began, and how long it took</caption>
<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">what</th><th scope="col" role="columnheader" class="number">begins after</th><th scope="col" role="columnheader" class="number">takes</th><th scope="col" role="columnheader" class="chart"><span class="said">time line</span><svg width="100%" height="14" aria-hidden="true">${axis}</svg></th></tr></thead>
${bodies}</table>`
}
